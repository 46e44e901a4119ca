"""Power Automate beyond the common contract: URLs, the schema flows keep, every answer, tokens."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from integrations import registry
from integrations.contracts import Accepted, HttpResponse
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    SignatureInvalid,
    TransientError,
)
from integrations.http import HttpConfig
from integrations.providers.power_automate import PowerAutomate
from notifications import examples
from tests.integrations import fixture_files as files
from tests.integrations.loopback import Call, opened, serving

URL = files.settings("power_automate")["trigger_url"]
NOTES = Path(registry.__file__).parent / "providers" / "power_automate.md"
SCHEMA = json.loads(re.findall(r"```json\n(.*?)```", NOTES.read_text(), re.DOTALL)[0])
ENTRA = {
    "trigger_url": URL.partition("&sp=")[0],
    "tenant_id": "contoso.onmicrosoft.com",
    "client_id": "11111111-2222-3333-4444-555555555555",
    "client_secret": "entra-secret",
}
RUN = "08584287402734285749571048234CU34"


def provider(**settings: str) -> PowerAutomate:
    made = files.provider("power_automate", **settings)
    assert isinstance(made, PowerAutomate)
    return made


def sent(settings: dict[str, str] | None = None, **changes: Any) -> Any:
    request = provider(**(settings or {})).request(files.message("power_automate", **changes))
    return json.loads(request.body)


# --- the address ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        URL,
        URL.replace(":443", ""),
        URL.replace("/direct/", "/direct/cu/17/"),
        "https://prod-27.westus.logic.azure.com:443/workflows/ab12/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=x_y-z",
        "https://prod-01.usgovtexas.logic.azure.us/workflows/a/triggers/manual/paths/invoke?sig=x",
        "https://a.00.environment.api.gov.powerplatform.microsoft.us/powerautomate/automations/direct/workflows/a/triggers/manual/paths/invoke?sig=x",
    ],
)
def test_addresses_of_flows_are_used_untouched(url: str) -> None:
    request = provider(trigger_url=f" {url} ").request(files.message("power_automate"))
    assert (request.url, request.untrusted_url) == (url, True)
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    "url",
    [
        "somewhere",
        "https://[",
        URL.replace("https", "http"),
        URL.replace(":443", ":8443"),
        URL.replace("https://", "https://user@"),
        URL.replace("api.powerplatform.com", "api.powerplatform.com.example.com"),
        "https://logic.azure.com/workflows/a/triggers/manual/paths/invoke?sig=x",
        "https://xlogic.azure.com/workflows/a/triggers/manual/paths/invoke?sig=x",
        "https://example.com/workflows/a/triggers/manual/paths/invoke?sig=x",
        "https://127.0.0.1/workflows/a/triggers/manual/paths/invoke?sig=x",
        "https://prod-27.westus.logic.azure.com/workflows/a?sig=x",
    ],
)
def test_addresses_that_are_no_flow(url: str) -> None:
    with pytest.raises(ConfigurationError, match="'trigger_url'") as caught:
        provider(trigger_url=url)
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"tenant_id": ""}, "tenant_id"),
        ({"client_id": ""}, "client_id"),
        ({"client_secret": " "}, "client_secret"),
        ({"tenant_id": "a/../b"}, "tenant_id"),
        ({"audience": "https://service.flow.microsoft.com"}, "audience"),
        ({"sign_in_host": "login.example.com"}, "sign_in_host"),
    ],
)
def test_an_address_without_a_signature_wants_an_app(change: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}'") as caught:
        provider(**{**ENTRA, **change})
    assert "entra-secret" not in str(caught.value)
    assert provider(**{**ENTRA, "sign_in_host": "", "audience": ""})


# --- the event ------------------------------------------------------------------------------------


def messages() -> Iterator[Any]:
    """Every kind, in every odd shape."""
    odd = {
        "plain": examples.Example(),
        "long": examples.Example(text="x" * 90_000, number="9" * 300),
        "unicode": examples.Example(text="Müller’s 🍜 \ud83c\x00 \u202e", first_name="Zoë"),
        "nobody": examples.Example(first_name="", language="es"),
        "many": examples.Example(
            parts=tuple(
                examples.context.PartFacts("Bowl " + "🍜" * 900, "ready") for _ in range(400)
            )
        ),
        "empty": examples.Example(parts=(), items=(), number=""),
    }
    for kind in examples.kinds_of(PowerAutomate):
        for name, example in odd.items():
            yield pytest.param(kind, example, id=f"{kind}-{name}")


@pytest.mark.parametrize(("kind", "example"), list(messages()))
@pytest.mark.parametrize("guest_data", ["no", "yes"])
def test_whatever_is_said_fits_the_schema_flows_keep(
    kind: str, example: Any, guest_data: str
) -> None:
    message = examples.message("power_automate", kind, example=example)
    body = provider(guest_data=guest_data).request(message).body
    event = json.loads(body)
    assert list(Draft4Validator(SCHEMA).iter_errors(event)) == []
    assert len(body) < 64 * 1024
    assert b"null" not in re.sub(rb'"[^"]*"', b"", body)
    if guest_data == "no":
        assert not {"text", "subject", "customer", "conversation"} & event.keys()


def test_the_schema_refuses_what_flows_refuse() -> None:
    Draft4Validator.check_schema(SCHEMA)
    event = sent()
    event["order"]["eta"] = None
    assert not Draft4Validator(SCHEMA).is_valid(event)


@pytest.mark.parametrize(
    ("kind", "milestone", "expected"),
    [
        ("status_changed", "received", "order.created"),
        ("status_changed", "preparing", "order.status_changed"),
        ("status_changed", "cancelled", "order.cancelled"),
        ("part_status_changed", "part_ready", "order.part_status_changed"),
        ("order_edited", "edited:1", "order.edited"),
        ("order_split", "split:1", "order.split"),
        ("order_delayed", "delayed:1", "order.delayed"),
        ("eta_changed", "eta:1", "order.eta_changed"),
        ("status_requested", "asked:1", "customer.status_requested"),
        ("customer_message", "message:1", "customer.message"),
        ("alarm", "alarm:x", "alarm"),
        ("test", "", "test"),
        ("Odd kind", "", "order._dd_kind"),
    ],
)
def test_kinds_of_events(kind: str, milestone: str, expected: str) -> None:
    event = sent(event_kind=kind, milestone=milestone)
    assert event["event_type"] == expected
    assert event.get("test") == (True if kind == "test" else None)


def test_what_changed() -> None:
    def changes(kind: str, **event: Any) -> Any:
        found = sent(event_kind=kind, event=event).get("changes", [])
        return {change["field"]: change["new"] for change in found}

    assert changes("status_changed") == {"status": "ready_for_pickup"}
    assert changes("order_edited", change="+1 Miso soup") == {"items": "+1 Miso soup"}
    assert changes("order_delayed", late_min=12) == {"late_minutes": "12"}
    assert changes("part_status_changed", part_label="Tofu Bowl") == {"part": "Tofu Bowl"}
    assert changes("eta_changed", late_min=0) == {}


def test_deliveries_are_expected_when_they_arrive() -> None:
    order = {
        "state": "out_for_delivery",
        "is_delivery": True,
        "est_ready_at": "2026-03-14T22:42:00+00:00",
        "est_delivery_at": "2026-03-14T23:05:00+00:00",
    }
    assert sent(order=order)["order"]["eta"] == "2026-03-14T23:05:00+00:00"
    assert sent(order={**order, "est_delivery_at": ""})["order"]["eta"].endswith("22:42:00+00:00")
    assert "eta" not in sent(order={"state": "ready"})["order"]


def test_a_flow_is_told_about_guests_only_where_its_owner_said_so() -> None:
    said = [{"from": "customer", "text": "Sauce aside?", "at": "2026-03-14T22:35:00+00:00"}]
    event = {"id": "1", "conversation": said}
    assert "Sauce" not in json.dumps(sent(event=event))
    assert "Ana" not in json.dumps(sent())
    told = sent({"guest_data": "yes"}, event=event)
    assert told["customer"] == {"name": "Ana"}
    assert told["text"] == "Order 1042 is ready for pickup."
    assert told["conversation"] == said


# --- every answer ---------------------------------------------------------------------------------


def answer(status: int, code: str = "", **headers: str) -> HttpResponse:
    body = json.dumps({"error": {"code": code, "message": "words"}}) if code else ""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, body.encode())


LATE = "the flow runs; its Response action did not answer"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (answer(202), Accepted()),
        (answer(202, x_ms_workflow_run_id=RUN), Accepted(RUN)),
        (HttpResponse(200, {"x-ms-request-id": "1"}, b'{"any": "thing"}'), Accepted()),
        (answer(200, x_ms_workflow_run_id=RUN), Accepted(RUN)),
        (answer(502, "NoResponse"), Accepted(detail=LATE)),
        (answer(502, "NoResponse", x_ms_workflow_run_id=RUN), Accepted(RUN, detail=LATE)),
        (answer(504, "NoResponse"), Accepted(detail=LATE)),
        (answer(504, x_ms_workflow_run_id=RUN), Accepted(RUN, detail=LATE)),
    ],
)
def test_a_run_that_has_begun_is_accepted(response: HttpResponse, expected: Accepted) -> None:
    assert provider().outcome(files.message("power_automate"), response) == expected


@pytest.mark.parametrize(
    ("response", "error", "code"),
    [
        (answer(200), OutcomeUnknown, ""),
        (answer(204, x_ms_request_id="1"), OutcomeUnknown, ""),
        (answer(400, "TriggerInputSchemaMismatch"), MessageRejected, "TriggerInputSchemaMismatch"),
        (
            answer(400, "WorkflowTriggerIsNotEnabled"),
            ConfigurationError,
            "WorkflowTriggerIsNotEnabled",
        ),
        (answer(400, "Whatever"), MessageRejected, "Whatever"),
        (answer(400, "<b>words</b>"), MessageRejected, ""),
        (
            answer(401, "DirectApiAuthorizationRequired"),
            ConfigurationError,
            "DirectApiAuthorizationRequired",
        ),
        (answer(401, "MisMatchingOAuthClaims"), ConfigurationError, "MisMatchingOAuthClaims"),
        (answer(401, "ExpiredToken"), ConfigurationError, "ExpiredToken"),
        (answer(403), ConfigurationError, ""),
        (answer(404, "WorkflowNotFound"), ConfigurationError, "WorkflowNotFound"),
        (answer(410), ConfigurationError, ""),
        (answer(413), MessageRejected, ""),
        (answer(302), ConfigurationError, ""),
        (answer(408), TransientError, ""),
        (answer(500, "InternalServerError"), TransientError, "InternalServerError"),
        (answer(503), TransientError, ""),
        (answer(502), OutcomeUnknown, ""),
        (answer(502, "BadGateway"), OutcomeUnknown, "BadGateway"),
        (answer(504), OutcomeUnknown, ""),
    ],
)
def test_every_refusal(response: HttpResponse, error: type[Exception], code: str) -> None:
    with pytest.raises((error,)) as caught:
        provider().outcome(files.message("power_automate"), response)
    raised: Any = caught.value
    assert (type(raised), raised.vendor_code) == (error, code)
    assert "words" not in str(raised)
    if code in ("WorkflowTriggerIsNotEnabled", "WorkflowNotFound"):
        assert raised.endpoint_only


@pytest.mark.parametrize(("headers", "wait_s"), [({}, 60.0), ({"retry_after": "7"}, 7.0)])
def test_how_long_to_wait(headers: dict[str, str], wait_s: float) -> None:
    with pytest.raises(RateLimited) as caught:
        provider().outcome(files.message("power_automate"), answer(429, **headers))
    assert (caught.value.retry_after_s, caught.value.whole_account) == (wait_s, True)


def test_the_flows_key_is_rotated() -> None:
    call = files.call(files.load("power_automate", "receipt_delivered"))
    old = files.settings("power_automate")["flow_key"]
    with pytest.raises(SignatureInvalid):
        provider(flow_key="another").receipts(call)
    (read,) = provider(flow_key="another", previous_flow_key=old).receipts(call)
    assert read.attempt_id
    with pytest.raises(SignatureInvalid):
        provider(flow_key="", previous_flow_key="").receipts(call)


def test_the_budget_stays_below_the_low_profiles() -> None:
    assert 300 * PowerAutomate.capabilities.rate_per_s <= 4500


# --- tokens ---------------------------------------------------------------------------------------


def exchanged(*, tokens: list[bytes], flow: list[tuple[str, bytes]]) -> tuple[Any, list[Call]]:
    """One message at a flow for users of the tenant, and every request it took."""
    answers = {"token": iter(tokens), "flow": iter(flow)}

    async def handle(call: Call) -> None:
        if b"/oauth2/" in call.head.split(b"\r\n")[0]:
            body = next(answers["token"])
            assert isinstance(body, bytes)
            await call.answer(body, "200 OK" if b"access" in body else "401 Unauthorized")
            return
        status, body = next(answers["flow"])
        await call.answer(body, status, "x-ms-request-id: 1")

    async def go() -> tuple[Any, list[Call]]:
        async with (
            serving(handle) as server,
            opened(HttpConfig(2.0, 2.0, frozenset({server.origin}))) as http,
        ):
            settings = {**files.settings("power_automate"), **ENTRA}
            made = PowerAutomate(settings, base_url=server.origin)
            try:
                result: Any = await made.send(files.message("power_automate"), http)
            except (ConfigurationError, TransientError) as error:
                result = error
            return result, server.calls

    return asyncio.run(go())


def token(value: str) -> bytes:
    return json.dumps({"access_token": value, "expires_in": 3599}).encode()


def error(code: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": "words"}}).encode()


def test_a_flow_of_the_tenant_gets_a_token() -> None:
    result, (asked, started) = exchanged(tokens=[token("t1")], flow=[("202 Accepted", b"")])
    assert result == Accepted()
    assert asked.head.startswith(b"POST /contoso.onmicrosoft.com/oauth2/v2.0/token ")
    assert b"scope=https%3A%2F%2Fservice.flow.microsoft.com%2F%2F.default" in asked.body
    assert b"Authorization: Bearer t1\r\n" in started.head
    assert b"sig=" not in started.head


def test_an_expired_token_is_renewed_once() -> None:
    gone = ("401 Unauthorized", error("ExpiredAuthenticationToken"))
    result, calls = exchanged(tokens=[token("t1"), token("t2")], flow=[gone, ("202 Accepted", b"")])
    assert (result, len(calls)) == (Accepted(), 4)
    assert b"Authorization: Bearer t2\r\n" in calls[3].head
    result, calls = exchanged(tokens=[token("t1"), token("t2")], flow=[gone, gone])
    assert (type(result), len(calls)) == (ConfigurationError, 4)


@pytest.mark.parametrize("code", ["DirectApiAuthorizationRequired", "MisMatchingOAuthClaims"])
def test_a_token_for_the_wrong_place_is_not_renewed(code: str) -> None:
    result, calls = exchanged(tokens=[token("t1")], flow=[("401 Unauthorized", error(code))])
    assert (type(result), result.vendor_code, len(calls)) == (ConfigurationError, code, 2)


def test_no_token_no_message() -> None:
    refused = b'{"error":"invalid_client","error_description":"AADSTS7000215: secret"}'
    result, calls = exchanged(tokens=[refused], flow=[])
    assert (type(result), result.vendor_code) == (ConfigurationError, "invalid_client")
    assert "AADSTS" not in str(result)
    assert len(calls) == 1
