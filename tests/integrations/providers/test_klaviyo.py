"""Klaviyo beyond the common contract: who is told what, and every answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.contracts import Channel, HttpResponse
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.klaviyo import Klaviyo
from tests.integrations import fixture_files as files

PROFILE = "/data/attributes/profile/data/attributes"


def provider(**settings: str) -> Klaviyo:
    return Klaviyo({**files.settings("klaviyo"), **settings})


def event_of(settings: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    made = provider(**(settings or {})).request(files.message("klaviyo", **changes))
    attributes: dict[str, Any] = json.loads(made.body)["data"]["attributes"]
    return attributes


# --- what is sent -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("speaks", "to", "person"),
    [
        ("email", " ana@example.com ", {"email": "ana@example.com"}),
        ("sms", "+12025550142", {"phone_number": "+12025550142"}),
        ("push", "ana@example.com", {"email": "ana@example.com"}),
        ("push", "+12025550142", {"phone_number": "+12025550142"}),
    ],
)
def test_only_the_identifier_consent_was_asked_for(
    speaks: str, to: str, person: dict[str, str]
) -> None:
    profile = event_of({"speaks": speaks}, to=to)["profile"]["data"]
    assert profile == {"type": "profile", "attributes": person}


@pytest.mark.parametrize(
    ("speaks", "to"),
    [
        ("email", "+12025550142"),
        ("email", "ana"),
        ("email", ""),
        ("sms", "ana@example.com"),
        ("sms", "12025550142"),
        ("sms", "+1202"),
        ("sms", "+١٢٠٢٥٥٥٠١٤٢"),
        ("push", "token:abc"),
    ],
)
def test_who_is_not_known_that_way_never_leaves(speaks: str, to: str) -> None:
    with pytest.raises(RecipientUnreachable):
        provider(speaks=speaks).request(files.message("klaviyo", to=to))


@pytest.mark.parametrize(
    ("speaks", "kinds"),
    [
        ("", (Channel.EMAIL,)),
        ("email", (Channel.EMAIL,)),
        ("sms", (Channel.SMS,)),
        ("push", (Channel.EMAIL, Channel.SMS)),
    ],
)
def test_consent_is_asked_for_what_the_flow_speaks(speaks: str, kinds: tuple[Channel, ...]) -> None:
    assert Klaviyo.address_channels({"speaks": speaks}) == kinds


def test_every_try_of_one_delivery_repeats_one_unique_id() -> None:
    key = event_of()["unique_id"]
    assert event_of(attempt_id="another try")["unique_id"] == key
    assert event_of(delivery_key="4712")["unique_id"] != key


def test_what_is_not_known_is_left_out_or_empty() -> None:
    bare = event_of(order={}, event={}, links={}, recipient={}, restaurant={}, subject="")
    assert "time" not in bare
    assert bare["properties"]["parts"] == []
    assert bare["properties"]["eta"] == ""
    assert set(bare["properties"]) == set(event_of()["properties"])


@pytest.mark.parametrize(
    "at", ["", "soon", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z"]
)
def test_times_that_cannot_be_are_left_out(at: str) -> None:
    assert "time" not in event_of(event={"id": "n-1", "occurred_at": at})


@pytest.mark.parametrize(
    ("milestone", "kind", "news"),
    [
        ("ready", "status_changed", "ready"),
        ("part_ready", "part_status_changed", "part_ready"),
        ("delayed:2", "order_delayed", "delayed"),
        ("", "test", "test"),
    ],
)
def test_one_word_for_what_happened(milestone: str, kind: str, news: str) -> None:
    assert event_of(milestone=milestone, event_kind=kind)["properties"]["news"] == news


def test_a_hundred_parts_are_enough() -> None:
    listed = [{"label": f"Bowl {i}", "state": "ready"} for i in range(300)]
    parts = event_of(order={"parts": {"total": 300, "ready": 300, "list": listed}})
    assert len(parts["properties"]["parts"]) == 100
    assert parts["properties"]["parts_total"] == "300"


def test_the_metric_is_the_accounts_or_the_templates() -> None:
    def name(made: dict[str, Any]) -> Any:
        return made["metric"]["data"]["attributes"]["name"]

    assert name(event_of()) == "Order Status Changed"
    assert name(event_of({"metric": "Bowl News"})) == "Bowl News"
    assert name(event_of({"metric": "Bowl News"}, vendor_template="Order Ready")) == "Order Ready"
    assert len(name(event_of(vendor_template="x" * 200))) == 127


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"speaks": "letter"}, "speaks"),
        ({"revision": "v3"}, "revision"),
        ({"revision": "2026-07-15\nX: y"}, "revision"),
        ({"metric": "x" * 128}, "metric"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        provider(**settings)


def test_the_revision_is_one_setting() -> None:
    made = provider(revision="2026-10-15.pre").request(files.message("klaviyo"))
    assert made.headers["revision"] == "2026-10-15.pre"


# --- what Klaviyo answers -----------------------------------------------------------------------


def outcome(status: int, *errors: object, **headers: str) -> Any:
    body = json.dumps({"errors": list(errors)}).encode() if errors else b""
    answer = HttpResponse(status, headers, body)
    return provider().outcome(files.message("klaviyo"), answer)


def at(pointer: str, code: str = "invalid") -> dict[str, Any]:
    return {"status": 400, "code": code, "source": {"pointer": pointer}}


@pytest.mark.parametrize(
    ("status", "errors", "error"),
    [
        (200, (), OutcomeUnknown),
        (201, (), OutcomeUnknown),
        (204, (), OutcomeUnknown),
        (400, (at(f"{PROFILE}/email"),), RecipientUnreachable),
        (400, (at(f"{PROFILE}/phone_number"),), RecipientUnreachable),
        (400, (at("/data/attributes/profile/email"),), RecipientUnreachable),
        (400, (at("/data/attributes/x"), at(f"{PROFILE}/email")), RecipientUnreachable),
        (400, (at(f"{PROFILE}/locale"),), MessageRejected),
        (400, (at("/data/attributes/properties/email"),), MessageRejected),
        (400, (), MessageRejected),
        (400, ({"code": "invalid", "source": {"parameter": "revision"}},), ConfigurationError),
        (400, ({"code": "invalid", "source": {"header": "revision"}},), ConfigurationError),
        (400, ({"code": "invalid_revision"},), ConfigurationError),
        (400, ("no object", {"source": 5}), MessageRejected),
        (401, (), ConfigurationError),
        (403, (), ConfigurationError),
        (404, (), ConfigurationError),
        (405, (), ConfigurationError),
        (409, (at(PROFILE, "duplicate_profile"),), MessageRejected),
        (410, (), ConfigurationError),
        (413, (), MessageRejected),
        (415, (), ConfigurationError),
        (422, (), MessageRejected),
        (429, (), RateLimited),
        (500, (), TransientError),
        (502, (), OutcomeUnknown),
        (503, (), TransientError),
        (504, (), OutcomeUnknown),
        (524, (), TransientError),
    ],
)
def test_every_answer(status: int, errors: tuple[object, ...], error: type[Exception]) -> None:
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        outcome(status, *errors)
    assert type(caught.value) is error
    assert "ana@example.com" not in str(caught.value)


def test_a_code_is_shown_and_a_sentence_is_not() -> None:
    with pytest.raises(MessageRejected) as caught:
        outcome(400, {"code": "bad <b> words"}, {"code": "too_long"})
    assert caught.value.vendor_code == "too_long"


def test_retry_after_is_honoured() -> None:
    with pytest.raises(RateLimited) as caught:
        outcome(429, **{"retry-after": "17"})
    assert (caught.value.retry_after_s, caught.value.whole_account) == (17.0, True)


def test_the_budget_stays_below_the_steady_window() -> None:
    # create_event: 350 in a second, 3,500 in a minute
    assert 60 * Klaviyo.capabilities.rate_per_s <= 3500
    assert Klaviyo.capabilities.idempotency_key
