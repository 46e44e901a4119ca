"""HubSpot beyond the common contract: three ways to tell, and every answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from integrations.contracts import Accepted, Channel, HttpResponse
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientOptedOut,
    RecipientUnreachable,
    TransientError,
)
from integrations.http import Http, HttpConfig
from integrations.providers.hubspot import HubSpot
from tests.integrations import fixture_files as files
from tests.integrations.providers.helpdesk_calls import answer, send
from tests.integrations.test_contract import BARE_STATUSES

EVENT = {"method": "event", "event_name": "pe1234567_order_news"}
MAIL = {"method": "single_send", "email_id": "4126643121"}


def provider(*, base_url: str = "", **settings: str) -> HubSpot:
    return HubSpot({**files.settings("hubspot"), **settings}, base_url=base_url)


def body_of(settings: Mapping[str, str], **changes: Any) -> Any:
    return json.loads(provider(**settings).request(files.message("hubspot", **changes)).body)


def outcome(
    status: int, body: object = None, *, settings: Mapping[str, str], **headers: str
) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    made = HttpResponse(status, headers, content)
    return provider(**settings).outcome(files.message("hubspot"), made)


# --- what is sent -------------------------------------------------------------------------------


def test_a_custom_event() -> None:
    made = provider(**EVENT).request(files.message("hubspot"))
    assert made.url == "https://api.hubapi.com/events/custom/2026-09/send"
    body = json.loads(made.body)
    assert body.pop("properties") == {
        "order_news": "ready",
        "order_number": "1042",
        "order_status": "ready",
        "order_subject": "Order 1042: ready",
        "order_text": "Harvest & Steam: order 1042 is ready for pickup. Tschüß 🍜",
        "order_eta": "18:42",
        "order_parts": "2 of 3",
        "order_part": "",
        "order_url": "https://orders.example.com/o/1042/",
        "order_name": "Ana",
        "order_language": "en",
        "order_restaurant": "Harvest & Steam",
        "order_attempt": "5f0c6f1e-2f6a-4d6a-9a52-0a4e6b1d1042",
    }
    assert body == {
        "eventName": "pe1234567_order_news",
        "email": "ana@example.com",
        "uuid": "4788a7f3-1d28-5053-949a-d2b84f26749d",
        "occurredAt": "2026-03-14T22:42:04Z",
    }


def test_values_of_an_event_are_cut_to_what_it_takes() -> None:
    assert len(body_of(EVENT, text="🍜" * 500)["properties"]["order_text"]) == 256


def test_a_single_send() -> None:
    made = provider(**MAIL, reply_to="r@in.example.com").request(
        files.message("hubspot", variables={"eta_in": "in 6 min"})
    )
    assert made.url == ("https://api.hubapi.com/marketing/transactional/2026-09/single-email/send")
    body = json.loads(made.body)
    assert body["emailId"] == 4126643121
    assert body["message"] == {
        "to": "ana@example.com",
        "sendId": "4788a7f3-1d28-5053-949a-d2b84f26749d",
        "replyTo": ["r@in.example.com"],
    }
    assert body["customProperties"]["order_number"] == "1042"
    assert body["customProperties"]["eta_in"] == "in 6 min"
    assert all(isinstance(value, str) for value in body["customProperties"].values())


def test_a_vendor_template_is_another_event_or_mail() -> None:
    assert body_of(EVENT, vendor_template="pe1234567_ready")["eventName"] == "pe1234567_ready"
    assert body_of(EVENT, vendor_template="Ready!")["eventName"] == "pe1234567_order_news"
    assert body_of(MAIL, vendor_template="77")["emailId"] == 77
    assert body_of(MAIL, vendor_template="ready")["emailId"] == 4126643121
    with pytest.raises(ConfigurationError, match="email_id"):
        body_of({**MAIL, "email_id": ""}, vendor_template="ready")


@pytest.mark.parametrize("settings", [{}, EVENT, MAIL])
def test_every_try_of_one_delivery_repeats_one_key(settings: Mapping[str, str]) -> None:
    def key(**changes: Any) -> str:
        body = body_of(settings, **changes)
        if not settings:
            return str(body["inputs"][0]["properties"]["last_order_event"])
        return str(body["uuid"] if settings is EVENT else body["message"]["sendId"])

    assert key(attempt_id="another try") == key()
    assert key(delivery_key="4712") != key()
    assert key(event={"id": "7e9e6679-7425-40de-944b-e07fc1f90ae8"}) != key()


def test_every_property_is_written_so_that_nothing_old_stays() -> None:
    known = body_of({})["inputs"][0]["properties"]
    bare = body_of({}, order={}, event={}, links={}, recipient={}, restaurant={}, subject="")
    assert set(bare["inputs"][0]["properties"]) == set(known)
    assert bare["inputs"][0]["properties"]["last_order_eta"] == ""
    assert bare["inputs"][0]["properties"]["last_order_status_at"] == ""
    named = body_of({"property_prefix": "news_"})["inputs"][0]["properties"]
    assert "news_event" in named


@pytest.mark.parametrize("to", ["", "ana", "+12025550142", "a b@example.com", "a@b@example.com"])
def test_what_is_no_mailbox_never_leaves(to: str) -> None:
    with pytest.raises(RecipientUnreachable):
        provider().request(files.message("hubspot", to=to))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"access_token": ""}, "access_token"),
        ({"refresh_token": "r"}, "not both"),
        (
            {"access_token": "", "refresh_token": "r", "client_id": "c", "client_secret": ""},
            "needs",
        ),
        ({"method": "letter"}, "method"),
        ({"method": "event"}, "event_name"),
        ({"method": "event", "event_name": "order_news"}, "event_name"),
        ({"property_prefix": "Last Order"}, "property_prefix"),
        ({"api_version": "v4"}, "api_version"),
        ({"subscription_id": "x"}, "subscription_id"),
        ({"portal_id": "٣"}, "portal_id"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        provider(**settings)


def test_people_are_known_by_mailbox() -> None:
    assert HubSpot.address_channels({}) == (Channel.EMAIL,)


def test_the_version_is_one_setting() -> None:
    later = provider(api_version="2027-03")
    assert "/2027-03/" in later.request(files.message("hubspot")).url
    assert "/2027-03/" in later.statuses_request("ana@example.com").url


# --- what HubSpot answers -----------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, EVENT, MAIL])
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"category": "VALIDATION_ERROR"}, MessageRejected),
        (
            400,
            {"category": "VALIDATION_ERROR", "errors": [{"code": "INVALID_EMAIL"}]},
            RecipientUnreachable,
        ),
        (
            400,
            {"category": "VALIDATION_ERROR", "message": 'not valid: [{"error":"INVALID_EMAIL"}]'},
            RecipientUnreachable,
        ),
        (400, {"errors": [{"code": "PROPERTY_DOESNT_EXIST"}]}, ConfigurationError),
        (400, {"errors": [{"subCategory": "crm.PROPERTY_DOESNT_EXIST"}]}, ConfigurationError),
        (400, {"message": "ana@example.com is not INVALIDE_MAIL"}, MessageRejected),
        (400, {"category": 7, "errors": "none", "message": None}, MessageRejected),
        (401, {"category": "INVALID_AUTHENTICATION"}, ConfigurationError),
        (403, {"category": "MISSING_SCOPES"}, ConfigurationError),
        (403, {"message": "this portal is not entitled"}, ConfigurationError),
        (404, {"category": "OBJECT_NOT_FOUND"}, ConfigurationError),
        (405, {}, ConfigurationError),
        (409, {"category": "CONFLICT"}, TransientError),
        (410, {}, ConfigurationError),
        (413, {}, MessageRejected),
        (414, {}, MessageRejected),
        (415, {}, ConfigurationError),
        (423, {}, TransientError),
        (429, {"policyName": "TEN_SECONDLY_ROLLING"}, RateLimited),
        (477, {}, TransientError),
        (500, {}, TransientError),
        (502, {}, OutcomeUnknown),
        (503, {}, TransientError),
        (504, {}, OutcomeUnknown),
        (521, {}, TransientError),
    ],
)
def test_every_refusal(
    settings: Mapping[str, str], status: int, body: object, error: type[Exception]
) -> None:
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        outcome(status, body, settings=settings)
    assert type(caught.value) is error
    assert "ana@example.com" not in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "retry_after", "wait_s"),
    [
        ("TEN_SECONDLY_ROLLING", "", 10.0),
        ("TEN_SECONDLY_ROLLING", "3", 3.0),
        ("SECONDLY", "", 10.0),
        ("", "", 10.0),
        ("DAILY", "", 3600.0),
        ("DAILY", "1", 3600.0),
        ("DAILY", "999999", 3600.0),
        ("bad word", "-5", 10.0),
    ],
)
def test_how_long_to_wait(policy: str, retry_after: str, wait_s: float) -> None:
    headers = {"retry-after": retry_after} if retry_after else {}
    with pytest.raises(RateLimited) as caught:
        outcome(429, {"policyName": policy}, settings={}, **headers)
    assert caught.value.retry_after_s == wait_s
    assert caught.value.whole_account is (policy != "DAILY")


@pytest.mark.parametrize("status", [409, 423, 477, 500, 503])
def test_retry_after_is_honoured_everywhere(status: int) -> None:
    with pytest.raises(RateLimited) as caught:
        outcome(status, {}, settings={}, **{"retry-after": "7"})
    assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize("status", BARE_STATUSES)
@pytest.mark.parametrize("body", [b"<html><h1>Sorry</h1></html>", b"", b'{"cod', b"[]", b"null"])
@pytest.mark.parametrize("settings", [{}, EVENT, MAIL])
def test_a_refusal_without_words_goes_by_its_status(
    settings: Mapping[str, str], status: int, body: bytes
) -> None:
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        outcome(status, body, settings=settings)
    assert type(caught.value) is BARE_STATUSES[status]


@pytest.mark.parametrize("settings", [{}, EVENT, MAIL])
@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"", b'{"id": "<2026', b"[]", b"null"])
def test_an_unreadable_acceptance_is_unknown(settings: Mapping[str, str], body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome(200, body, settings=settings)


def test_a_207_may_hide_failures() -> None:
    error = {"category": "VALIDATION_ERROR", "errors": [{"code": "INVALID_EMAIL"}]}
    written = {"results": [{"id": "1", "new": False}]}
    with pytest.raises(RecipientUnreachable):
        outcome(207, {**written, "errors": [error]}, settings={})
    with pytest.raises(TransientError):
        outcome(207, {"results": [], "errors": [{"category": "CONFLICT"}]}, settings={})
    with pytest.raises(MessageRejected):
        outcome(200, {"results": [], "errors": [{}]}, settings={})
    taken = outcome(207, {**written, "errors": []}, settings={})
    assert (taken.vendor_id, taken.detail) == ("1", "")


CONFLICT = answer(409, {"category": "CONFLICT"})
INSIDE = answer(207, {"results": [], "errors": [{"category": "CONFLICT"}]})
WRITTEN = answer(200, {"id": "7", "properties": {}})


@pytest.mark.parametrize(
    ("answers", "result"),
    [
        ([CONFLICT, WRITTEN], "7"),
        ([INSIDE, WRITTEN], "7"),
        ([CONFLICT, CONFLICT], TransientError),
        ([CONFLICT, answer(404)], TransientError),
        ([CONFLICT, None], OutcomeUnknown),
        ([answer(404)], ConfigurationError),
        ([answer(401)], ConfigurationError),
    ],
)
def test_a_lost_race_is_repeated_once_as_an_update(
    answers: list[HttpResponse | None], result: object
) -> None:
    found, seen = send("hubspot", answers)
    assert (found.vendor_id if isinstance(found, Accepted) else type(found)) == result
    lines = [
        "POST /crm/objects/2026-09/contacts/batch/upsert",
        "PATCH /crm/objects/2026-09/contacts/ana%40example.com?idProperty=email",
    ]
    assert [call["line"] for call in seen] == lines[: len(answers)]
    if len(seen) == 2:
        assert seen[1]["body"]["properties"] == seen[0]["body"]["inputs"][0]["properties"]


def test_the_budget_stays_below_the_smallest_tiers() -> None:
    # 100 requests in ten seconds; asking about a subscription makes two of a message
    assert 2 * 10 * HubSpot.capabilities.rate_per_s <= 100


def test_an_event_is_taken_with_an_empty_204() -> None:
    key = "4788a7f3-1d28-5053-949a-d2b84f26749d"
    assert outcome(204, b"", settings=EVENT).vendor_id == key
    with pytest.raises(OutcomeUnknown):
        outcome(204, b"", settings={})


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("SENT", None),
        ("QUEUED", None),
        ("IDEMPOTENT_IGNORE", None),
        ("IDEMPOTENT_FAIL", None),
        ("PREVIOUSLY_BOUNCED", RecipientUnreachable),
        ("INVALID_TO_ADDRESS", RecipientUnreachable),
        ("BLOCKED_ADDRESS", RecipientUnreachable),
        ("BLOCKED_DOMAIN", RecipientUnreachable),
        ("QUARANTINED_ADDRESS", RecipientUnreachable),
        ("UNDELIVERABLE", RecipientUnreachable),
        ("PREVIOUS_SPAM", RecipientOptedOut),
        ("ADDRESS_OPTED_OUT", RecipientOptedOut),
        ("PREVIOUSLY_UNSUBSCRIBED_MESSAGE", RecipientOptedOut),
        ("PREVIOUSLY_UNSUBSCRIBED_PORTAL", RecipientOptedOut),
        ("PREVIOUSLY_UNSUBSCRIBED_BUSINESS_UNIT", RecipientOptedOut),
        ("GDPR_DOI_ENABLED", MessageRejected),
        ("NON_MARKETABLE_CONTACT", MessageRejected),
        ("MISSING_CONTENT", MessageRejected),
        ("MISSING_TEMPLATE_PROPERTIES", MessageRejected),
        ("TEMPLATE_RENDER_EXCEPTION", MessageRejected),
        ("CORRUPT_INPUT", MessageRejected),
        ("VALIDATION_FAILED", MessageRejected),
        ("PORTAL_SUSPENDED", ConfigurationError),
        ("PORTAL_OVER_LIMIT", ConfigurationError),
        ("EMAIL_DISABLED", ConfigurationError),
        ("INVALID_FROM_ADDRESS", ConfigurationError),
        ("UNCONFIGURED_SENDING_DOMAIN", ConfigurationError),
        ("CANCELLED_ABUSE", ConfigurationError),
        ("THROTTLED", TransientError),
        ("ATTACHMENT_DOWNLOAD_QUEUE_FULL", TransientError),
        ("INVENTED_TOMORROW", OutcomeUnknown),
        ("<b>", OutcomeUnknown),
    ],
)
def test_every_send_result(word: str, error: type[Exception] | None) -> None:
    body = {"status": "COMPLETE", "statusId": "s-1", "sendResult": word}
    if error is None:
        assert outcome(200, body, settings=MAIL).vendor_id == "s-1"
        return
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        outcome(200, body, settings=MAIL)
    assert type(caught.value) is error


def test_a_single_send_that_waits_is_accepted() -> None:
    assert outcome(200, {"status": "PENDING", "statusId": "s-1"}, settings=MAIL).vendor_id == "s-1"


def test_sent_through_the_door_and_never_answered_is_unknown() -> None:
    async def go(**settings: str) -> bytes:
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
            made = provider(base_url=f"{origin}/hubspot", **settings)
            await made.send(files.message("hubspot"), http)
        finally:
            done.set()
            await http.close()
            server.close()
        return await received.get()

    with pytest.raises(OutcomeUnknown):
        asyncio.run(go())
    # the question about subscriptions wrote nothing: asking again repeats nothing
    with pytest.raises(TransientError):
        asyncio.run(go(subscription_id="77"))


# --- what the manager creates -------------------------------------------------------------------


def test_properties_nobody_created_are_a_gap() -> None:
    names = list(body_of({})["inputs"][0]["properties"])
    request = provider().set_up_request()
    assert request is not None
    assert request.url == "https://api.hubapi.com/crm/properties/2026-09/contacts"

    def gaps(*missing: str) -> list[str]:
        results = [{"name": name} for name in names if name not in missing]
        answer = json.dumps({"results": results}).encode()
        return provider().set_up_gaps(HttpResponse(200, {}, answer))

    assert gaps() == []
    assert gaps("last_order_eta", "last_order_event") == [
        "HubSpot lacks the contact properties last_order_event, last_order_eta."
    ]
    with pytest.raises(OutcomeUnknown):
        provider().set_up_gaps(HttpResponse(200, {}, b"<html>"))
    with pytest.raises(ConfigurationError):
        provider().set_up_gaps(HttpResponse(403, {}, b"{}"))
    for other in (EVENT, MAIL):
        assert provider(**other).set_up_request() is None
