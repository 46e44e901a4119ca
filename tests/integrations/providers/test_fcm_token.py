"""The access token of FCM's service account: asked for once, renewed in time, refused."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from integrations.access_tokens import AccessToken
from integrations.contracts import HttpResponse
from integrations.errors import ConfigurationError, OutcomeUnknown, RateLimited, TransientError
from integrations.providers.fcm import Fcm
from integrations.providers.fcm_token import AUDIENCE, ServiceAccount, google_token
from tests.integrations import fixture_files as files
from tests.integrations.loopback import IMPATIENT, Call, opened, serving
from tests.integrations.providers.test_fcm import KEY_FILE, WHEN, answer


def test_the_statement_google_exchanges() -> None:
    service = ServiceAccount.from_json(json.dumps(KEY_FILE))
    made = service.assertion(WHEN)
    public: Any = load_pem_private_key(KEY_FILE["private_key"].encode(), None).public_key()
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(made, public, algorithms=["RS256"], audience=AUDIENCE, options=options)
    assert claims == {
        "iss": KEY_FILE["client_email"],
        "aud": "https://oauth2.googleapis.com/token",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "iat": int(WHEN.timestamp()),
        "exp": int(WHEN.timestamp()) + 3600,
    }
    assert jwt.get_unverified_header(made)["kid"] == KEY_FILE["private_key_id"]
    assert KEY_FILE["private_key"][40:80] not in repr(service)


class Google:
    """A token endpoint and a list of answers to come; None takes a request and stays silent."""

    def __init__(self, *answers: HttpResponse | None, life_s: Any = 3599) -> None:
        self.answers, self.life_s = list(answers), life_s
        self.tokens = 0
        self.asked: list[bytes] = []
        self.messages: list[Call] = []

    async def __call__(self, call: Call) -> None:
        is_message = b":send " in call.head
        if is_message:
            self.messages.append(call)
        else:
            self.asked.append(call.body)
        found = self.answers.pop(0) if self.answers else self._usual(is_message)
        if found is None:
            await call.over.wait()
            return
        headers = [f"{name}: {value}" for name, value in found.headers.items()]
        await call.answer(found.body, f"{found.status} -", *headers)

    def _usual(self, is_message: bool) -> HttpResponse:
        if is_message:
            return HttpResponse(200, {}, b'{"name":"projects/p/messages/1"}')
        self.tokens += 1
        body = {"access_token": f"ya29.{self.tokens}", "expires_in": self.life_s}
        return HttpResponse(200, {}, json.dumps(body).encode())

    @property
    def logins(self) -> list[str]:
        """The access token of every message that left."""
        return [
            re.findall(rb"Authorization: Bearer (\S+)", c.head)[0].decode() for c in self.messages
        ]


async def send_through(google: Google, times: int) -> Any:
    async with serving(google) as server, opened(IMPATIENT) as http:
        provider = files.provider("fcm", base_url=server.origin)
        messages = [provider.send(files.message("fcm"), http) for _ in range(times)]
        return await asyncio.gather(*messages)


def send(google: Google, times: int = 1) -> Any:
    return asyncio.run(send_through(google, times))


def test_many_messages_share_one_token() -> None:
    google = Google()
    assert {accepted.vendor_id for accepted in send(google, 20)} == {"projects/p/messages/1"}
    assert google.tokens == 1
    assert google.logins == ["ya29.1"] * 20
    [asked] = google.asked
    grant = parse_qs(asked.decode())["grant_type"]
    assert grant == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]


def test_what_leaves_says_when_apple_may_drop_it() -> None:
    google = Google()
    before = datetime.now(UTC).timestamp()
    send(google)
    message = json.loads(google.messages[0].body)["message"]
    expires = int(message["apns"]["headers"]["apns-expiration"])
    assert before + 1799 <= expires <= datetime.now(UTC).timestamp() + 1800


def clock_at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


async def ask(google: Google, *moments: datetime) -> list[str]:
    service = ServiceAccount.from_json(json.dumps(KEY_FILE))
    async with serving(google) as server, opened(IMPATIENT) as http:
        token = google_token(service, f"{server.origin}/token", provider="fcm")
        return [await token.get(http, now=clock_at(moment)) for moment in moments]


@pytest.mark.parametrize(
    ("life_s", "after_s", "is_new"),
    [
        (3599, 3298, False),
        (3599, 3299, True),
        (120, 59, False),
        (120, 60, True),
        (300, 149, False),
        (300, 150, True),
        ("soon", 299, False),
        (None, 300, True),
        (10**9, 300, True),
    ],
)
def test_a_token_is_renewed_before_its_end(life_s: Any, after_s: int, is_new: bool) -> None:
    later = WHEN + timedelta(seconds=after_s)
    tokens = asyncio.run(ask(Google(life_s=life_s), WHEN, later))
    assert tokens == ["ya29.1", "ya29.2" if is_new else "ya29.1"]


def test_a_token_outlives_the_event_loop_it_was_asked_on() -> None:
    service = ServiceAccount.from_json(json.dumps(KEY_FILE))
    google, tokens = Google(), []
    token: AccessToken | None = None

    async def once() -> None:
        nonlocal token
        async with serving(google) as server, opened(IMPATIENT) as http:
            token = token or google_token(service, f"{server.origin}/token", provider="fcm")
            tokens.extend(await asyncio.gather(token.get(http), token.get(http)))

    for _ in range(2):
        asyncio.run(once())
    assert tokens == ["ya29.1"] * 4


TOKEN = HttpResponse(200, {}, b'{"access_token":"ya29.old","expires_in":3599}')


def test_a_refused_token_is_renewed_once() -> None:
    google = Google(TOKEN, answer(401, "UNAUTHENTICATED"))
    [accepted] = send(google)
    assert accepted.vendor_id == "projects/p/messages/1"
    assert google.logins == ["ya29.old", "ya29.1"]


def test_refused_twice_stops_the_account() -> None:
    google = Google(TOKEN, answer(401, "UNAUTHENTICATED"), TOKEN, answer(401, "UNAUTHENTICATED"))
    with pytest.raises(ConfigurationError):
        send(google)
    assert len(google.logins) == 2


def test_a_bad_apple_key_renews_nothing() -> None:
    google = Google(TOKEN, answer(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"))
    with pytest.raises(ConfigurationError):
        send(google)
    assert len(google.logins) == 1


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (HttpResponse(400, {}, b'{"error":"invalid_grant"}'), ConfigurationError),
        (HttpResponse(401, {}, b'{"error":"invalid_client"}'), ConfigurationError),
        (HttpResponse(403, {}, b"no"), ConfigurationError),
        (HttpResponse(404, {}, b"<html>"), ConfigurationError),
        (HttpResponse(429, {"retry-after": "7"}, b""), RateLimited),
        (HttpResponse(429), RateLimited),
        (HttpResponse(500), TransientError),
        (HttpResponse(502, {}, b"<html>"), TransientError),
        (HttpResponse(200, {}, b"<html>"), TransientError),
        (HttpResponse(200, {}, b'{"access_token":"a\\nb"}'), TransientError),
        (HttpResponse(200, {}, b'{"access_token":7}'), TransientError),
        (None, TransientError),
    ],
)
def test_without_a_token_nothing_leaves(
    response: HttpResponse | None, error: type[Exception]
) -> None:
    google = Google(response)
    with pytest.raises((error,)) as caught:
        send(google)
    assert type(caught.value) is error
    assert google.logins == []


def test_an_unanswered_message_is_unknown() -> None:
    with pytest.raises(OutcomeUnknown):
        send(Google(TOKEN, None))


def test_a_live_account_asks_google_and_nobody_else() -> None:
    info = {**KEY_FILE, "token_uri": "https://evil.example.com/token"}
    provider = Fcm({"service_account": json.dumps(info)})
    assert provider.token_url == "https://oauth2.googleapis.com/token"
    assert provider.request(files.message("fcm")).url.startswith("https://fcm.googleapis.com/v1/")
