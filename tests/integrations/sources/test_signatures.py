"""Right, altered, absent and stale signatures of every source, and of the helpers."""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from integrations import signatures
from integrations.contracts import InboundCall, Source, basic_auth
from integrations.errors import SignatureInvalid
from integrations.sources.cloudevents import CloudEvents
from integrations.sources.doordash import DoorDash
from integrations.sources.grubhub import Grubhub
from integrations.sources.lightspeed import Lightspeed
from integrations.sources.olo import Olo
from integrations.sources.square import Square
from integrations.sources.uber_eats import UberEats
from tests.integrations.sources.payload_files import load, signed_call

SIGNED_AT = datetime.fromtimestamp(1773511500, UTC)


def square(**settings: str) -> Source:
    return Square({"signature_key": "sq-test-signature-key", **settings})


def uber(**settings: str) -> Source:
    return UberEats({"client_secret": "uber-test-client-secret", **settings})


def events(**settings: str) -> Source:
    return CloudEvents({"secret": "whsec-test", **settings})


SOURCES = pytest.mark.parametrize(
    ("key", "source"), [("square", square()), ("uber_eats", uber()), ("cloudevents", events())]
)


@SOURCES
def test_the_published_vector_passes(key: str, source: Source) -> None:
    source.verify(signed_call(key, at=SIGNED_AT))


@SOURCES
@pytest.mark.parametrize(
    "change",
    [
        {"body": '{"event_id":"other"}'},
        {"signature": "0" * 64},
        {"signature": ""},
        {"signature": "łódź-naïve"},
        {"signature": "\udcff\udcfe"},
    ],
    ids=["altered body", "wrong", "absent", "not ASCII", "half characters"],
)
def test_anything_else_is_refused(key: str, source: Source, change: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid) as refusal:
        source.verify(signed_call(key, at=SIGNED_AT, **change))
    assert load(key, "signature")["secret"] not in refusal.value.hint


@pytest.mark.parametrize(
    ("key", "source"),
    [
        (
            "square",
            Square({"signature_key": "new", "previous_signature_key": "sq-test-signature-key"}),
        ),
        (
            "uber_eats",
            UberEats(
                {"direct_signing_key": "new", "previous_signing_key": "uber-test-client-secret"}
            ),
        ),
        ("cloudevents", CloudEvents({"secret": "new", "previous_secret": "whsec-test"})),
    ],
)
def test_the_previous_key_passes_during_rotation(key: str, source: Source) -> None:
    source.verify(signed_call(key, at=SIGNED_AT))


@pytest.mark.parametrize(
    ("key", "source"),
    [("square", Square({})), ("uber_eats", UberEats({})), ("cloudevents", CloudEvents({}))],
)
def test_an_account_without_a_key_believes_nobody(key: str, source: Source) -> None:
    with pytest.raises(SignatureInvalid, match="no signing key"):
        source.verify(signed_call(key, at=SIGNED_AT))


def test_square_signs_the_url_it_was_given() -> None:
    with pytest.raises(SignatureInvalid, match="URL"):
        square().verify(signed_call("square", url="https://orders.example.com/in/square/acct-2"))


@pytest.mark.parametrize("off", [timedelta(seconds=301), timedelta(seconds=-301)])
def test_a_stale_cloudevents_signature_is_refused(off: timedelta) -> None:
    with pytest.raises(SignatureInvalid, match="301 s old"):
        events().verify(signed_call("cloudevents", at=SIGNED_AT + off))


@pytest.mark.parametrize("stamp", ["", "soon", "-5", "1" * 30, "١٧٧٣"])
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    with pytest.raises(SignatureInvalid, match="must read"):
        events().verify(signed_call("cloudevents", at=SIGNED_AT, timestamp=stamp))


def test_matches_any_finds_the_second_key() -> None:
    assert signatures.matches_any("b", ["a", "b"])
    assert not signatures.matches_any("c", ["a", "b"])
    assert not signatures.matches_any("", [])


def test_hex_and_base64_are_of_the_same_digest() -> None:
    assert signatures.hmac_hex("key", b"body") == (
        "515aae133b435d4000956731f68ae5cf5eb85d4f0dc6a546d2bfcd3595ec1ae1"
    )
    assert signatures.hmac_base64("key", b"body") == "UVquEztDXUAAlWcx9orlz164XU8NxqVG0r/NNZXsGuE="


# --- what a manager reads about a refusal --------------------------------------------------------

BODY = b'{"event_id": "1"}'
PLACE = "https://orders.example.com/hooks/orders/tok/"


def hint(source: Source, headers: dict[str, str], url: str = PLACE, body: bytes = BODY) -> str:
    call = InboundCall("POST", url, headers, body, SIGNED_AT)
    with pytest.raises(SignatureInvalid) as refusal:
        source.verify(call)
    for value in (*source.account.values(), *headers.values()):
        assert value.removeprefix("Basic ") not in refusal.value.hint
    assert "tok" not in refusal.value.hint
    return refusal.value.hint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("http://orders.example.com/hooks/orders/tok/", "the vendor has http://"),
        ("https://orders.example.com/hooks/orders/tok", "the vendor has no slash at the end"),
        (
            "http://orders.example.com/hooks/orders/tok",
            "the vendor has http:// and no slash at the end",
        ),
        ("https://inner:8000/hooks/orders/tok/", "the vendor has another host, the one it called"),
        (
            "http://inner:8000/hooks/orders/tok/",
            "the vendor has another host, the one it called and http://",
        ),
    ],
)
def test_a_signature_over_another_address_is_named(change: str, words: str) -> None:
    signed = signatures.hmac_base64("sq-test-signature-key", change.encode() + BODY)
    headers = {"x-square-hmacsha256-signature": signed, "host": "inner:8000"}
    assert f"is right for another URL: {words}." in hint(square(), headers)
    ticks = str(621_355_968_000_000_000 + int(SIGNED_AT.timestamp()) * 10_000_000)
    lines = (change.encode(), BODY, b"m-1", ticks.encode())
    headers = {
        "x-olo-signature": signatures.hmac_base64("olo-test-secret", b"\n".join(lines)),
        "x-olo-message-id": "m-1",
        "x-olo-timestamp": ticks,
        "host": "inner:8000",
    }
    said = hint(Olo({"shared_secret": "olo-test-secret"}), headers)
    assert f"is right for another URL: {words}." in said


def test_a_query_the_vendor_did_not_sign_is_named() -> None:
    signed = signatures.hmac_base64("sq-test-signature-key", PLACE.encode() + BODY)
    said = hint(square(), {"x-square-hmacsha256-signature": signed}, url=f"{PLACE}?a=1")
    assert "the vendor signed it without the part after “?”" in said


def test_an_address_that_is_not_signed_is_not_blamed() -> None:
    signed = signatures.hmac_hex("uber-test-client-secret", b"http://" + BODY)
    assert "another key, for another URL or over another body" in hint(
        uber(), {"x-uber-signature": signed}
    )


@pytest.mark.parametrize(
    ("sign", "words"),
    [
        (
            lambda: signatures.hmac_base64("uber-test-client-secret", BODY),
            "is right, but written in base64 instead of hex",
        ),
        (
            lambda: signatures.hmac_hex("uber-test-client-secret", BODY).upper(),
            "is right, but written in capital letters",
        ),
        (
            lambda: "sha256=" + signatures.hmac_hex("uber-test-client-secret", BODY),
            "is right but for “sha256=” in front of it",
        ),
        (
            lambda: signatures.hmac_hex("another", BODY),
            "has the right form (64 characters), but was made with another key",
        ),
        (lambda: "abc", "got 3 characters, expected 64"),
    ],
)
def test_the_form_of_a_wrong_signature_is_named(sign: Callable[[], str], words: str) -> None:
    assert words in hint(uber(), {"x-uber-signature": sign()})


def test_base64_is_expected_where_base64_is_used() -> None:
    signed = signatures.hmac_hex("sq-test-signature-key", PLACE.encode() + BODY)
    said = hint(square(), {"x-square-hmacsha256-signature": signed})
    assert "is right, but written in hex instead of base64" in said


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "header Authorization is missing"),
        ("Bearer abc", "Authorization is Bearer, expected Basic"),
        ("ž=3 abc", "Authorization is something unknown, expected Basic"),
        ("Basic §§§", "it cannot be decoded"),
        ("Basic " + b64encode(b"nobody").decode(), "no colon between user and password"),
        (basic_auth("cook", "pass"), "the user is another one (got 4 characters, expected 6)"),
        (basic_auth("person", "pass"), "the password is another one (got 4 characters"),
    ],
)
def test_what_differs_in_basic_is_named(given: str, words: str) -> None:
    for adapter in (Grubhub, Lightspeed):
        source = adapter({"username": "person", "password": "p4ssw0rt"})
        headers = {"authorization": given} if given else {}
        assert words in hint(source, headers)


def test_a_fixed_value_with_another_word_in_front_is_named() -> None:
    source = DoorDash({"authorization": "Bearer s3cret-value"})
    assert "differs only in the word in front" in hint(source, {"authorization": "s3cret-value"})
    assert "got 5 characters, expected 19" in hint(source, {"authorization": "other"})
