"""Right, altered, absent and stale signatures of every source, and of the helpers."""

from datetime import UTC, datetime, timedelta

import pytest

from integrations import signatures
from integrations.contracts import Source
from integrations.errors import SignatureInvalid
from integrations.sources.cloudevents import CloudEvents
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
