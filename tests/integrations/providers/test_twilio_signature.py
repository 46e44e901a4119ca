"""Twilio's webhook signature in every variant: ports, repeated fields, JSON, shared keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from integrations.contracts import InboundCall
from integrations.errors import SignatureInvalid
from tests.integrations import fixture_files as files
from tests.integrations.providers.twilio_calls import HOOK, KEY, NOW, signed

#: (URL, key, form, SHA-1 signature): computed once with the vendor's own SDK
VECTORS = [
    (
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        "12345",
        {
            "CallSid": "CA1234567890ABCDE",
            "Caller": "+14158675309",
            "Digits": "1234",
            "From": "+14158675309",
            "To": "+18005551212",
        },
        "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
    ),
    (
        "https://alerts.example.com/webhooks/twilio/status",
        KEY,
        {
            "AccountSid": "AC00000000000000000000000000000001",
            "ApiVersion": "2010-04-01",
            "From": "+15005550006",
            "MessageSid": "SM00000000000000000000000000000001",
            "MessageStatus": "delivered",
            "SmsSid": "SM00000000000000000000000000000001",
            "SmsStatus": "delivered",
            "To": "+14155552671",
        },
        "WT2GwfXnkhaYAwShUOyBRpbUEr4=",
    ),
    (
        "https://alerts.example.com/webhooks/twilio/inbound",
        KEY,
        {
            "AccountSid": "AC00000000000000000000000000000001",
            "ApiVersion": "2010-04-01",
            "Body": "STOP",
            "From": "+14155552671",
            "MessageSid": "SM00000000000000000000000000000002",
            "NumMedia": "0",
            "NumSegments": "1",
            "OptOutType": "STOP",
            "To": "+15005550006",
        },
        "ZHIeXsDp4G5+P5YNnpeglggwMu8=",
    ),
]


@pytest.mark.parametrize(("url", "key", "form", "signature"), VECTORS)
def test_signature_vectors(url: str, key: str, form: dict[str, str], signature: str) -> None:
    call = signed(form, url=url, key=key)
    assert call.headers["x-twilio-signature"] == signature
    provider = files.provider("twilio", auth_token=key)
    assert len(provider.receipts(call)) == ("MessageStatus" in form)
    assert len(provider.replies(call)) == ("Body" in form)


@pytest.mark.parametrize("signed_url", [HOOK, HOOK.replace(".com/", ".com:443/")])
@pytest.mark.parametrize("called", [HOOK, HOOK.replace(".com/", ".com:443/")])
def test_the_default_port_may_be_there_or_not(signed_url: str, called: str) -> None:
    call = signed({"MessageStatus": "sent", "MessageSid": "SM1"}, url=called, signed_url=signed_url)
    assert len(files.provider("twilio").receipts(call)) == 1


def test_repeated_empty_and_non_ascii_fields_are_signed_as_they_are() -> None:
    text = HOOK + "Body" + " é 🍜 " + "Empty" + "From" + "+1" + "Media" + "1" + "Media" + "2"
    digest = hmac.new(KEY.encode(), text.encode(), hashlib.sha1).digest()
    media = [("Media", "2"), ("Media", "1"), ("Media", "2")]
    body = urlencode([*media, ("Body", " é 🍜 "), ("Empty", ""), ("From", "+1")])
    call = replace(
        signed({}),
        body=body.encode(),
        headers={"x-twilio-signature": base64.b64encode(digest).decode()},
    )
    [reply] = files.provider("twilio").replies(call)
    assert reply.text == " é 🍜 "


def shared(call: InboundCall, words: str) -> InboundCall:
    headers = {**call.headers, "x-twilio-webhooks-signature-settings": words}
    return replace(call, headers=headers)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_shared_key_signs_instead_of_the_auth_token(algorithm: str) -> None:
    form = {"MessageStatus": "sent", "MessageSid": "SM1"}
    words = f"key=webhooks_sharedkey_1,algorithm=HMAC_{algorithm.upper()}"
    provider = files.provider("twilio", webhook_shared_key="shared")
    call = shared(signed(form, key="shared", algorithm=algorithm), words)
    assert len(provider.receipts(call)) == 1
    with pytest.raises(SignatureInvalid):  # the auth token no longer counts
        provider.receipts(shared(signed(form, algorithm=algorithm), words))
    with pytest.raises(SignatureInvalid):  # nor does the key without its header
        provider.receipts(signed(form, key="shared", algorithm=algorithm))


@pytest.mark.parametrize("words", ["key=k,algorithm=NONE", "algorithm=HMAC_MD5", "algorithm=ä"])
def test_unknown_algorithms_are_refused(words: str) -> None:
    provider = files.provider("twilio", webhook_shared_key="shared")
    with pytest.raises(SignatureInvalid, match="algorithm"):
        provider.receipts(shared(signed({"MessageStatus": "sent"}, key="shared"), words))


STATUS_URL, _, STATUS_FORM, _ = VECTORS[1]


def test_a_known_signature_with_a_shared_key() -> None:
    call = signed(STATUS_FORM, url=STATUS_URL, key=KEY, algorithm="sha256")
    assert call.headers["x-twilio-signature"] == "bEyAbbdAxGESZTjDVgLhIBliuEsIDOrcAtQKdLZwWeA="
    provider = files.provider("twilio", auth_token="another", webhook_shared_key=KEY)
    call = shared(call, "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256")
    assert len(provider.receipts(call)) == 1
    with pytest.raises(SignatureInvalid):
        provider.receipts(replace(call, body=call.body.replace(b"delivered", b"failed")))


def test_a_known_signature_of_a_json_body() -> None:
    hashed = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    url = f"https://alerts.example.com/webhooks/twilio/events?bodySHA256={hashed}"
    headers = {
        "content-type": "application/json",
        "x-twilio-signature": "VEbI8hNRLqzsd+wPcOYA9tNllfc=",
    }
    call = InboundCall("POST", url, headers, b'{"a":1}', NOW, {"bodySHA256": hashed})
    provider = files.provider("twilio", auth_token=KEY)
    assert (provider.receipts(call), provider.replies(call)) == ([], [])
    for body in (b'{"a":2}', b'{"a": 1}', b""):
        with pytest.raises(SignatureInvalid):
            provider.receipts(replace(call, body=body))


@pytest.mark.parametrize("setting", ["auth_token", "webhook_shared_key"])
def test_the_secret_before_counts_while_it_is_set(setting: str) -> None:
    call = signed({"MessageStatus": "sent", "MessageSid": "SM1"}, key="the old one")
    if setting == "webhook_shared_key":
        call = shared(call, "key=webhooks_sharedkey_1,algorithm=HMAC_SHA1")
    rotated = files.provider("twilio", **{setting: "new", "previous_auth_token": "the old one"})
    assert len(rotated.receipts(call)) == 1
    with pytest.raises(SignatureInvalid):
        files.provider("twilio", **{setting: "new"}).receipts(call)


def json_call(body: str, hashed: str) -> InboundCall:
    digest = hashlib.sha256(hashed.encode()).hexdigest()
    call = signed({}, url=f"{HOOK}?bodySHA256={digest}")
    return replace(
        call,
        body=body.encode(),
        headers={**call.headers, "content-type": "application/json"},
    )


def test_a_json_body_is_covered_by_its_hash() -> None:
    provider = files.provider("twilio")
    call = json_call('{"a":"é"}', '{"a":"é"}')
    assert (provider.receipts(call), provider.replies(call)) == ([], [])
    with pytest.raises(SignatureInvalid):
        provider.receipts(json_call('{"a":2}', '{"a":1}'))


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(SignatureInvalid, match="too many"):
        files.provider("twilio").receipts(signed({f"F{i}": "1" for i in range(500)}))
