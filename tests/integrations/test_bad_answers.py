"""Every provider against every bad answer, over real sockets: each ends as one of our errors.

A case is sent through the provider's own ``send`` and the network door, as in production. What
is expected is the same for all; where a vendor's rules differ, the tables below say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from integrations import registry
from integrations.contracts import Accepted, HttpResponse
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.http import HttpConfig
from integrations.providers import apprise_call
from tests.integrations import bad_answers as bad
from tests.integrations import fixture_files as files
from tests.integrations.loopback import Call, Handler, opened, serving

#: all that talk to a vendor
KEYS = sorted(set(registry.PROVIDERS) - {"console"})
#: those that ask for something before they tell
ASKING = ["fcm", "shopify", "zendesk"]
#: a status alone is the vendor's yes, whatever else it says
YES: Mapping[str, set[int]] = {
    "apprise": {200},  # the library's own judgement
    "klaviyo": {202},
    "partner_webhook": {200},
    "power_automate": {202},
    "teams": {202},
    "web_push": {200, 201},
}
#: the other side drops a repetition, so what is not known is simply said again
REPEATABLE = {"partner_webhook", "pusher", "web_push"}
#: an error in a 200 that is the vendor's own way of refusing
REFUSING = {
    ("hubspot", "errors_list"),
    ("hubspot", "errors_in_data"),
    ("shopify", "errors_list"),
    ("shopify", "errors_in_data"),
    ("telegram", "not_ok"),
}
USUAL: Mapping[int, type[Exception]] = {
    400: MessageRejected,
    **dict.fromkeys((301, 302, 303, 307, 308, 401, 403, 404), ConfigurationError),
    500: TransientError,
    502: OutcomeUnknown,
    503: TransientError,
    504: OutcomeUnknown,
}
SPECIAL: Mapping[tuple[str, int], type[Exception]] = {
    # a status of a push service is about one browser
    **{
        ("web_push", status): RecipientUnreachable
        for status in (301, 302, 303, 307, 308, 401, 403, 404)
    },
    ("telegram", 403): RecipientUnreachable,  # never the bot's fault
    ("slack", 400): ConfigurationError,
    ("fcm", 502): TransientError,  # Google's front end took nothing
    **{(key, status): TransientError for key in REPEATABLE for status in (502, 504)},
    # a partner's server may be anything, and is asked again
    **{("partner_webhook", status): TransientError for status in USUAL},
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library that opens its own connections has time-outs of its own."""
    monkeypatch.setattr(apprise_call, "_CONNECT_S", 0.5)
    monkeypatch.setattr(apprise_call, "_READ_S", 0.5)


async def sent(key: str, origin: str, *, patience_s: float = 5.0) -> Any:
    """How sending the provider's fixture message to ``origin`` ended; bugs are raised."""
    provider = files.provider(key, base_url=f"{origin}/{key}")
    async with opened(HttpConfig(patience_s, patience_s, frozenset({origin}))) as http:
        try:
            return await provider.send(files.message(key), http)
        except (IntegrationError, ConfigurationError) as error:
            _keeps_secrets(key, error)
            return error


def _keeps_secrets(key: str, error: Exception) -> None:
    provider, message = files.provider(key), files.message(key)
    secrets = [provider.account.get(one.name, "") for one in provider.settings if one.secret]
    for private in filter(None, [*secrets, message.to, message.text, "t0ken"]):
        assert private not in f"{error} {error!r}"


def tell(
    key: str, handler: Handler, wrap: Callable[[Handler], Handler] = bad.up_to_the_message
) -> tuple[Any, list[Call]]:
    """How it ended, and the messages (not what was asked before) that reached the server."""
    patience_s = 0.2 if handler is bad.stay_silent else 5.0

    async def go() -> tuple[Any, list[Call]]:
        async with serving(wrap(handler)) as server:
            ended = await sent(key, server.origin, patience_s=patience_s)
            return ended, [call for call in server.calls if bad.answer_before(call) is None]

    return asyncio.run(go())


def statuses(key: str) -> list[int]:
    """200, and what the vendor says instead; 204 has no body to be bad."""
    return sorted({200, files.load(key, "send_ok")["reply"]["status"]} - {204})


@pytest.mark.parametrize("name", bad.UNREADABLE)
@pytest.mark.parametrize(
    ("key", "status"), [(key, status) for key in KEYS for status in statuses(key)]
)
def test_a_yes_that_cannot_be_read(key: str, status: int, name: str) -> None:
    """Saying "accepted" would lose the message, saying "failed" would send it twice."""
    body = bad.UNREADABLE[name]
    ended, calls = tell(key, bad.page(f"{status} OK", body))
    is_object = body.startswith(b"{") and name != "half_json"
    if status in YES.get(key, ()) or (key == "pusher" and is_object):
        expected: type[object] = Accepted
    else:
        expected = MessageRejected if (key, name) in REFUSING else OutcomeUnknown
    assert (type(ended), len(calls)) == (expected, 1)


@pytest.mark.parametrize("name", bad.UNKNOWN)
@pytest.mark.parametrize("key", KEYS)
def test_no_answer_or_half_of_one(key: str, name: str) -> None:
    ended, calls = tell(key, bad.UNKNOWN[name])
    expected = TransientError if key in REPEATABLE else OutcomeUnknown
    assert (type(ended), len(calls)) == (expected, 1)


@pytest.mark.parametrize("name", bad.REFUSED)
@pytest.mark.parametrize("key", KEYS)
def test_a_no_in_nobodys_words(key: str, name: str) -> None:
    status, handler = bad.REFUSED[name]
    ended, calls = tell(key, handler)
    expected = SPECIAL.get((key, status), USUAL[status])
    if (key, name) == ("apprise", "503_cut_off"):  # its library keeps no status of half an answer
        expected = OutcomeUnknown
    # a token that is refused is renewed once
    times = 2 if (key, status) == ("zendesk", 401) else 1
    assert (type(ended), len(calls)) == (expected, times)


@pytest.mark.parametrize("retry_after", bad.WAITS)
@pytest.mark.parametrize("key", KEYS)
def test_a_wait_of_any_kind(key: str, retry_after: str) -> None:
    """Nobody waits a negative time or a thousand years."""
    ended, calls = tell(key, bad.throttled(retry_after))
    assert (type(ended), len(calls)) == (RateLimited, 1)
    wait_s = bad.WAITS[retry_after]
    if wait_s is None or key == "apprise":  # the library shows no headers
        assert ended.retry_after_s is None or 1 <= ended.retry_after_s <= 60
    else:
        assert ended.retry_after_s == wait_s


@pytest.mark.parametrize("retry_after", bad.WAITS)
def test_a_date_counts_from_the_answers_own_date(retry_after: str) -> None:
    headers = {"retry-after": retry_after, "date": bad.DATE}
    assert HttpResponse(429, headers).retry_after_s() == bad.WAITS[retry_after]
    undated = HttpResponse(429, {"retry-after": retry_after}).retry_after_s()
    assert undated == (None if "GMT" in retry_after else bad.WAITS[retry_after])


# --- before anything left -------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*bad.UNREADABLE, *bad.UNKNOWN])
@pytest.mark.parametrize("key", ASKING)
def test_a_question_before_the_message_is_asked_again(key: str, name: str) -> None:
    handler = bad.UNKNOWN.get(name) or bad.page("200 OK", bad.UNREADABLE[name])
    ended, calls = tell(key, handler, bad.from_the_start)
    expected = MessageRejected if (key, name) in REFUSING else TransientError
    assert (type(ended), calls) == (expected, [])


@pytest.mark.parametrize("name", bad.REFUSED)
@pytest.mark.parametrize("key", ASKING)
def test_a_question_that_is_refused(key: str, name: str) -> None:
    status, handler = bad.REFUSED[name]
    ended, calls = tell(key, handler, bad.from_the_start)
    expected: type[Exception] = TransientError if status >= 500 else ConfigurationError
    if (key, status) == ("shopify", 400):
        expected = MessageRejected
    assert (type(ended), calls) == (expected, [])


@pytest.mark.parametrize("key", KEYS)
def test_nobody_listens(key: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ended = asyncio.run(sent(key, f"http://127.0.0.1:{unused.getsockname()[1]}"))
    assert type(ended) is TransientError


@pytest.mark.parametrize("key", KEYS)
def test_a_certificate_of_a_stranger(key: str, tls: ssl.SSLContext) -> None:
    async def go() -> tuple[Any, int]:
        async with behind(tls) as (origin, requests):
            return await sent(key, origin), len(requests)

    ended, requests = asyncio.run(go())
    assert (type(ended), requests) == (TransientError, 0)


@pytest.mark.parametrize("key", KEYS)
def test_a_handshake_that_never_ends(key: str) -> None:
    """The connection stands, and no request can have left."""

    async def go() -> Any:
        async with behind(None) as (origin, _):
            return await sent(key, origin, patience_s=0.2)

    # the library calls it a time-out of reading, which may also have been after the request
    expected = OutcomeUnknown if key == "apprise" else TransientError
    assert type(asyncio.run(go())) is expected


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's context with a certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    kept: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    kept.write_bytes(key.private_bytes(pem, form, plain) + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(kept)
    return context


@contextlib.asynccontextmanager
async def behind(tls: ssl.SSLContext | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """An https origin and what was said to it; without ``tls`` it never answers the handshake."""
    requests: list[bytes] = []
    done = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if tls is not None:
                requests.append(await reader.readuntil(b"\r\n\r\n"))
            await done.wait()
        writer.close()

    listener = await asyncio.start_server(take, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}", requests
    finally:
        done.set()
        listener.close()
