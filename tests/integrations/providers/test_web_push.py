"""Web Push: every answer, encryption a browser can read, tokens a push service takes."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from integrations.contracts import HttpRequest, HttpResponse
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.web_push import MOST_BYTES, WebPush
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.through import deliver

SUBSCRIPTION: dict[str, Any] = json.loads(files.message("web_push").to)
#: the receiver of RFC 8291, appendix A
BROWSER_KEY = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
WHEN = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def opened(body: bytes) -> bytes:
    """What the browser reads."""
    private = ec.derive_private_key(int.from_bytes(decoded(BROWSER_KEY), "big"), ec.SECP256R1())
    auth = decoded(SUBSCRIPTION["keys"]["auth"])
    plain: bytes = http_ece.decrypt(
        body, private_key=private, auth_secret=auth, version="aes128gcm"
    )
    return plain


def provider(**settings: str) -> WebPush:
    return WebPush({**files.settings("web_push"), **settings})


def sealed(**changes: Any) -> HttpRequest:
    message = files.message("web_push", **changes)
    return provider().sealed(provider().request(message), message.to, WHEN)


def to(**changes: Any) -> str:
    return json.dumps({**SUBSCRIPTION, **changes})


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, "", RecipientUnreachable),
        (410, "", RecipientUnreachable),
        (301, "", RecipientUnreachable),
        (307, "", RecipientUnreachable),
        (308, "", RecipientUnreachable),
        (401, "", RecipientUnreachable),
        (401, "VAPID public key mismatch", RecipientUnreachable),
        (403, "", RecipientUnreachable),
        (403, "<html>", RecipientUnreachable),
        (403, "the VAPID credentials do not correspond to the ones used", RecipientUnreachable),
        (400, '{"reason":"VapidPkHashMismatch"}', RecipientUnreachable),
        (403, '{"reason":"BadJwtToken"}', ConfigurationError),
        (401, "invalid JWT provided", ConfigurationError),
        (400, "", MessageRejected),
        (400, "Missing TTL", MessageRejected),
        (400, "UnauthorizedRegistration", ConfigurationError),
        (400, "the VAPID public key is wrong", ConfigurationError),
        (400, "BadAuthorizationHeader", ConfigurationError),
        (413, "", MessageRejected),
        (405, "", MessageRejected),
        (429, "", RateLimited),
        (408, "", TransientError),
        (500, "", TransientError),
        (502, "<html>", TransientError),
        (503, "", TransientError),
        (504, "", TransientError),
        (204, "", OutcomeUnknown),
    ],
)
def test_every_answer(status: int, body: str, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        provider().outcome(files.message("web_push"), HttpResponse(status, {}, body.encode()))
    raised: Any = caught.value
    assert type(raised) is error
    assert not body or body not in str(raised)
    if error is RateLimited:
        assert raised.retry_after_s == 60.0


@pytest.mark.parametrize("status", [200, 201, 202])
def test_taken_with_and_without_an_id(status: int) -> None:
    message = files.message("web_push")
    assert provider().outcome(message, HttpResponse(status)).vendor_id == ""
    answer = HttpResponse(status, {"location": "https://push.example.com/m/1"})
    assert provider().outcome(message, answer).vendor_id == "https://push.example.com/m/1"


# --- encryption -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLoc"
            "InmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLV"
            "WGNWQexSgSxsj_Qulcy4a-fN",
            b"When I grow up, I want to be a watermelon",
        ),
        (
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLoc"
            "InmYWAmS6TlzAC8wEqKK6PBru3jl7A_e3c9cFr7_NBuenPwdv1cfqTK15PkZSMuK92Fe2_jCTvXbR3glD3ya"
            "RgjxxQrfwkZ77HyYODjiOPzNEZXFwmrkkA",
            b'{"title":"Order 4711","body":"Ready for pickup"}',
        ),
    ],
)
def test_the_vectors_open_with_the_tests_own_browser(body: str, plain: bytes) -> None:
    assert opened(decoded(body)) == plain


def test_the_browser_reads_exactly_the_request() -> None:
    request = provider().request(files.message("web_push"))
    made = sealed()
    assert made.body != request.body
    assert opened(made.body) == request.body
    assert (made.url, made.headers["TTL"]) == (request.url, "1200")


def test_two_of_one_message_look_different() -> None:
    assert sealed().body != sealed().body


@pytest.mark.parametrize("change", [{"p256dh": None}, {"auth": "AAAAAAAAAAAAAAAAAAAAAA"}])
def test_another_browser_cannot_read_it(change: dict[str, str | None]) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    private = (
        other
        if "p256dh" in change
        else ec.derive_private_key(int.from_bytes(decoded(BROWSER_KEY), "big"), ec.SECP256R1())
    )
    auth = decoded(change.get("auth") or SUBSCRIPTION["keys"]["auth"])
    with pytest.raises(http_ece.ECEException):
        http_ece.decrypt(sealed().body, private_key=private, auth_secret=auth, version="aes128gcm")


@pytest.mark.parametrize("text", ["x" * 10_000, "🍜" * 5_000, '"\\' * 5_000, "\x00" * 5_000])
def test_any_length_fits_into_one_record(text: str) -> None:
    made = sealed(text=text, subject=text)
    assert len(made.body) <= MOST_BYTES + 103
    assert len(json.loads(opened(made.body))["body"]) > 100


# --- the token ------------------------------------------------------------------------------------


def claims_of(request: HttpRequest) -> dict[str, Any]:
    """The claims of the token, its signature checked with the key beside it."""
    scheme, _, rest = request.headers["Authorization"].partition(" ")
    values = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert scheme == "vapid"
    assert values["k"] == provider().public_key
    signed, _, signature = values["t"].rpartition(".")
    raw = decoded(signature)
    whole = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(values["k"]))
    public.verify(whole, signed.encode(), ec.ECDSA(hashes.SHA256()))
    claims: dict[str, Any] = json.loads(decoded(signed.partition(".")[2]))
    return claims


def test_the_token_names_service_contact_and_end() -> None:
    assert claims_of(sealed()) == {
        "aud": "https://updates.push.services.mozilla.com",
        "exp": int(WHEN.timestamp()) + 12 * 3600,
        "sub": "mailto:ops@example.com",
    }


def test_each_service_is_its_own_audience() -> None:
    for host in ("fcm.googleapis.com", "web.push.apple.com"):
        endpoint = f"https://{host}/x"
        assert claims_of(sealed(to=to(endpoint=endpoint)))["aud"] == f"https://{host}"


# --- the request ----------------------------------------------------------------------------------


def headers(**changes: Any) -> Any:
    return provider().request(files.message("web_push", **changes)).headers


def test_the_topic_is_one_per_order_and_tells_nothing() -> None:
    topic = headers()["Topic"]
    assert len(topic) == 32
    assert headers(attempt_id="other", text="other")["Topic"] == topic
    assert headers(thread_key="order-2")["Topic"] != topic
    assert "Topic" not in headers(thread_key="")


@pytest.mark.parametrize(("valid_s", "ttl"), [(1800, "1800"), (-5, "0"), (10**9, "2419200")])
def test_validity_goes_to_the_push_service(valid_s: int, ttl: str) -> None:
    assert headers(valid_for_s=valid_s)["TTL"] == ttl


def test_urgency() -> None:
    assert (headers()["Urgency"], headers(urgent=False)["Urgency"]) == ("high", "normal")


def test_windows_wants_one_header_more() -> None:
    endpoint = "https://wns2-by3p.notify.windows.com/w/?token=a%2Bb"
    request = provider().request(files.message("web_push", to=to(endpoint=endpoint)))
    assert request.headers["X-WNS-Type"] == "wns/raw"
    assert request.url == endpoint
    assert "X-WNS-Type" not in headers()


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com:x/x",
        "https://user@fcm.googleapis.com/x",
        "https://127.0.0.1/x",
        "https://example.com/x",
        "https://fcm.googleapis.com.example.com/x",
        "https://notify.windows.com/x",
        "https://evilpush.apple.com/x",
        "https://[",
        "",
    ],
)
def test_endpoints_of_nobody_we_know(endpoint: str) -> None:
    with pytest.raises(RecipientUnreachable):
        provider().request(files.message("web_push", to=to(endpoint=endpoint)))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        to(keys=None),
        to(keys={}),
        to(keys={**SUBSCRIPTION["keys"], "p256dh": "AAAA"}),
        to(keys={**SUBSCRIPTION["keys"], "p256dh": "B" + "A" * 86}),
        to(keys={**SUBSCRIPTION["keys"], "auth": "AAAA"}),
        to(keys={**SUBSCRIPTION["keys"], "auth": "ü"}),
    ],
)
def test_what_is_no_subscription(address: str) -> None:
    with pytest.raises(RecipientUnreachable):
        provider().request(files.message("web_push", to=address))


def test_the_list_of_services_is_a_setting() -> None:
    made = provider(allowed_hosts="push.example.com, *.example.org")
    for host in ("push.example.com", "a.example.org"):
        message = files.message("web_push", to=to(endpoint=f"https://{host}/x"))
        assert made.request(message).untrusted_url
    with pytest.raises(RecipientUnreachable):
        made.request(files.message("web_push"))


@pytest.mark.parametrize("key", ["x", "AQID", "ü", "A" * 200, "A" * 43])
def test_keys_that_are_none(key: str) -> None:
    with pytest.raises(ConfigurationError, match="vapid_private_key"):
        provider(vapid_private_key=key)


@pytest.mark.parametrize("contact", ["ops@example.com", "mailto:ops@localhost", "https://x", "x"])
def test_contacts_a_push_service_would_refuse(contact: str) -> None:
    with pytest.raises(ConfigurationError, match="contact"):
        provider(contact=contact)


@pytest.mark.parametrize(
    ("thread_key", "error"), [("order-1", TransientError), ("", OutcomeUnknown)]
)
def test_no_answer(thread_key: str, error: type[Exception]) -> None:
    """A repetition is replaced by its topic; without one it would be shown twice."""

    async def go() -> None:
        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(swallow, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        made = WebPush(files.settings("web_push"), base_url=origin)
        message = files.message("web_push", thread_key=thread_key)
        try:
            with pytest.raises((error,)) as caught:
                await asyncio.to_thread(deliver, made, message, origin)
            assert type(caught.value) is error
        finally:
            server.close()

    asyncio.run(go())
