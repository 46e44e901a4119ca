"""What every provider promises, checked against its fixtures. Written once for all of them.

A new provider adds fixture files and no test here. Fixture names: ``account``, ``send_ok``,
``send_unreachable``, ``send_throttled``, ``send_server_error``, any other ``send_*``, and where
the provider declares them ``receipt_delivered`` and at least one ``reply_*``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from integrations import errors, registry
from integrations.contracts import HttpResponse, Provider
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    SignatureInvalid,
    TransientError,
)
from integrations.http import Http, HttpConfig
from tests.integrations import fixture_files as files

PROVIDERS = sorted(registry.PROVIDERS)
#: providers whose messages leave through the network door
NETWORKED = [key for key in PROVIDERS if registry.provider_class(key).send is Provider.send]
REFUSALS = [
    (key, name) for key in PROVIDERS for name in files.names(key, "send_*") if name != "send_ok"
]
RECEIPTS = [(key, name) for key in PROVIDERS for name in files.names(key, "receipt_*")]
REPLIES = [(key, name) for key in PROVIDERS for name in files.names(key, "reply_*")]
FORGERIES = [
    (key, name, change)
    for key, name in RECEIPTS + REPLIES
    for change in files.load(key, name)["forged"]
]


def _named(value: object) -> str | None:
    return value["what"] if isinstance(value, dict) else None


def capabilities_of(key: str) -> Any:
    return registry.provider_class(key).capabilities


@pytest.mark.parametrize("key", PROVIDERS)
def test_class_and_registry_agree(key: str) -> None:
    provider = registry.provider_class(key)
    assert issubclass(provider, Provider)
    assert provider.key == key
    assert provider.title
    assert provider.__doc__
    names = [setting.name for setting in provider.settings]
    assert len(names) == len(set(names))
    assert set(files.settings(key)) <= set(names)


@pytest.mark.parametrize("key", PROVIDERS)
def test_fixtures_cover_what_is_declared(key: str) -> None:
    required = {"account", "send_ok"}
    if key in NETWORKED:
        required |= {"send_unreachable", "send_throttled", "send_server_error"}
    if capabilities_of(key).receipts:
        required.add("receipt_delivered")
    if capabilities_of(key).replies and not capabilities_of(key).account_is_address:
        required.add("reply_stop")
    present = set(files.names(key, "*"))
    assert required <= present
    assert bool(files.names(key, "receipt_*")) == capabilities_of(key).receipts
    assert bool(files.names(key, "reply_*")) == capabilities_of(key).replies
    assert all(files.load(key, name)["source"] for name in present)


# --- sending --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", PROVIDERS)
def test_the_request_is_exactly_the_fixtures(key: str) -> None:
    fixture = files.load(key, "send_ok")
    provider = files.provider(key)
    made = provider.request(files.message(key))
    assert made == files.request(fixture)
    assert provider.request(files.message(key)) == made


@pytest.mark.parametrize("key", PROVIDERS)
def test_an_acceptance_gives_the_vendors_id(key: str) -> None:
    fixture = files.load(key, "send_ok")
    provider = files.provider(key)
    outcome = provider.outcome(files.message(key), files.response(fixture))
    assert outcome == files.accepted(fixture)


@pytest.mark.parametrize("key", NETWORKED)
def test_a_sandbox_account_talks_to_the_sandbox_only(key: str) -> None:
    provider = files.provider(key, base_url=f"http://127.0.0.1:8001/{key}/")
    made = provider.request(files.message(key))
    live = files.provider(key).request(files.message(key))
    assert made.url.startswith(f"http://127.0.0.1:8001/{key}/")
    assert made.url.removeprefix(f"http://127.0.0.1:8001/{key}").lstrip("/")
    assert (made.body, made.headers) == (live.body, live.headers)


@pytest.mark.parametrize(("key", "name"), REFUSALS)
def test_a_refusal_is_its_error(key: str, name: str) -> None:
    fixture = files.load(key, name)
    expected = getattr(errors, fixture["error"])
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        files.provider(key).outcome(files.message(key, name), files.response(fixture))
    error: Any = caught.value
    assert type(error) is expected
    assert error.vendor_code == fixture.get("vendor_code", "")
    if isinstance(error, RateLimited):
        assert error.retry_after_s == fixture["retry_after_s"]


@pytest.mark.parametrize(("key", "name"), REFUSALS)
def test_no_secret_number_or_text_in_what_is_logged(
    key: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fixture, provider, message = files.load(key, name), files.provider(key), files.message(key)
    provider.request(message)
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        provider.outcome(message, files.response(fixture))
    said = " ".join([str(caught.value), repr(caught.value), repr(provider), caplog.text])
    for private in _private_words(provider, message):
        assert private not in said


def _private_words(provider: Provider, message: Any) -> list[str]:
    secrets = [
        provider.account[setting.name]
        for setting in provider.settings
        if setting.secret and len(provider.account.get(setting.name, "")) > 3
    ]
    return [*secrets, *filter(None, [message.to, message.text, message.subject])]


#: status -> error for answers without any code of the vendor's; 3xx and 401-404 stop the account
BARE_STATUSES: Mapping[int, type[Exception]] = {
    301: ConfigurationError,
    401: ConfigurationError,
    403: ConfigurationError,
    404: ConfigurationError,
    429: RateLimited,
    500: TransientError,
    502: OutcomeUnknown,
    503: TransientError,
    504: OutcomeUnknown,
}


@pytest.mark.parametrize("key", NETWORKED)
@pytest.mark.parametrize("status", BARE_STATUSES)
@pytest.mark.parametrize("body", [b"<html><h1>Sorry</h1></html>", b"", b'{"cod', b"[]", b"null"])
def test_a_refusal_without_a_code_goes_by_its_status(key: str, status: int, body: bytes) -> None:
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        files.provider(key).outcome(files.message(key), HttpResponse(status, {}, body))
    assert type(caught.value) is BARE_STATUSES[status]


@pytest.mark.parametrize("key", NETWORKED)
@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"", b'{"id": "<2026', b"[]", b"null"])
def test_an_unreadable_acceptance_is_unknown(key: str, body: bytes) -> None:
    """Saying "accepted" would lose the message, saying "failed" would send it twice."""
    with pytest.raises(OutcomeUnknown):
        files.provider(key).outcome(files.message(key), HttpResponse(200, {}, body))


@pytest.mark.parametrize("key", NETWORKED)
def test_sent_through_the_door_and_never_answered_is_unknown(key: str) -> None:
    """A real connection to a server that takes the request and stays silent."""

    async def go() -> bytes:
        received = asyncio.Queue[bytes]()
        done = asyncio.Event()

        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.put_nowait(await reader.readuntil(b"\r\n\r\n"))
            await done.wait()
            writer.close()

        server = await asyncio.start_server(swallow, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        http = Http(HttpConfig(1.0, 0.2, frozenset({origin})))
        try:
            with pytest.raises(OutcomeUnknown):
                await files.provider(key, base_url=f"{origin}/{key}").send(files.message(key), http)
            return await received.get()
        finally:
            done.set()
            await http.close()
            server.close()

    assert asyncio.run(go()).startswith(f"POST /{key}/".encode())


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (key, setting.name)
        for key in PROVIDERS
        for setting in registry.provider_class(key).settings
        if setting.required
    ],
)
def test_a_missing_setting_is_named(key: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}'"):
        files.provider(key, **{name: ""})


@pytest.mark.parametrize("key", PROVIDERS)
def test_a_text_too_long_is_cut_or_refused(key: str) -> None:
    longest = capabilities_of(key).max_chars
    provider = files.provider(key)
    if longest:
        provider.request(files.message(key, text="a" * longest))
        with pytest.raises(MessageRejected):
            provider.request(files.message(key, text="a" * (longest + 1)))
    else:
        assert provider.request(files.message(key, text="a" * 5000)).body


@pytest.mark.parametrize("key", PROVIDERS)
def test_any_text_makes_a_request(key: str) -> None:
    """Customers type emoji, controls and halves of emoji; none of it may raise."""
    strange = "Müller's 🍜 \ud83c\x00\x1b\u202e <b>&amp; \r\nBcc: x@example.com {{x}}"
    made = files.provider(key).request(files.message(key, text=strange, subject=strange))
    assert "\n" not in made.url
    assert all("\n" not in value for value in made.headers.values())


@pytest.mark.parametrize("key", PROVIDERS)
def test_look_up_is_there_when_declared(key: str) -> None:
    provider, message = files.provider(key), files.message(key)
    request = provider.look_up(message)
    assert (request is not None) == capabilities_of(key).look_up
    if request is not None:
        assert request.method == "GET"
        assert request.url.startswith(provider.base_url)
    with pytest.raises(OutcomeUnknown):
        provider.looked_up(message, HttpResponse(500))


# --- what comes back ------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "name"), RECEIPTS)
def test_receipts_are_read(key: str, name: str) -> None:
    fixture, provider = files.load(key, name), files.provider(key)
    call = files.call(fixture)
    assert provider.receipts(call) == files.receipts(fixture)
    assert provider.receipts(call) == files.receipts(fixture)  # reading consumes nothing
    for receipt in files.receipts(fixture):
        is_about_a_person = receipt.recipient and (receipt.up_to or receipt.purpose)
        assert receipt.attempt_id or receipt.vendor_id or is_about_a_person


@pytest.mark.parametrize(("key", "name"), REPLIES)
def test_replies_are_read(key: str, name: str) -> None:
    fixture, provider = files.load(key, name), files.provider(key)
    call = files.call(fixture)
    assert provider.replies(call) == files.replies(fixture)
    assert provider.replies(call) == files.replies(fixture)
    assert provider.receipts(call) == []  # one call is never both
    assert all(r.vendor_id for r in files.replies(fixture))


@pytest.mark.parametrize(("key", "name"), RECEIPTS)
def test_a_receipt_is_no_reply(key: str, name: str) -> None:
    assert files.provider(key).replies(files.call(files.load(key, name))) == []


@pytest.mark.parametrize(("key", "name", "change"), FORGERIES, ids=_named)
def test_a_forged_call_is_refused(key: str, name: str, change: Mapping[str, Any]) -> None:
    provider = files.provider(key)
    call = files.forged(files.call(files.load(key, name)), change)
    read = provider.receipts if name.startswith("receipt_") else provider.replies
    with pytest.raises(SignatureInvalid) as caught:
        read(call)
    assert caught.value.hint
    for private in _private_words(provider, files.message(key)):
        assert private not in caught.value.hint


@pytest.mark.parametrize(("key", "name"), RECEIPTS + REPLIES)
def test_another_accounts_secret_does_not_open_it(key: str, name: str) -> None:
    secrets = {
        setting.name: "0" * 32
        for setting in registry.provider_class(key).settings
        if setting.secret and not setting.is_url and setting.name in files.settings(key)
    }
    provider = files.provider(key, **secrets)
    read = provider.receipts if name.startswith("receipt_") else provider.replies
    with pytest.raises(SignatureInvalid):
        read(files.call(files.load(key, name)))


@pytest.mark.parametrize("key", PROVIDERS)
def test_the_example_settings_build_a_request(key: str) -> None:
    """What show_request and the sandbox use where nobody typed anything."""
    provider_class = registry.provider_class(key)
    provider = provider_class(provider_class.example_settings())
    assert provider.request(files.message(key)).method
