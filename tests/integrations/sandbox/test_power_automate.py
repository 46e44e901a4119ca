"""The Power Automate stand-in: who may start a flow, what it takes, runs, tokens, calls to us."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from integrations.contracts import Accepted, HttpRequest, HttpResponse, OrderUpdate
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    SignatureInvalid,
)
from integrations.providers.power_automate import PowerAutomate
from integrations.sources.power_automate import PowerAutomate as Source
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sandbox.through import deliver

SETTINGS = files.settings("power_automate")
URL = SETTINGS["trigger_url"]
WORKFLOW = "4f2d0c1ab5e84c0c9b1d0a7c31e51042"
TENANT = {
    "trigger_url": URL.partition("&sp=")[0],
    "tenant_id": "contoso.onmicrosoft.com",
    "client_id": "11111111-2222-3333-4444-555555555555",
    "client_secret": "entra-secret",
}
MESSAGE = files.message("power_automate")


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("power_automate", SETTINGS)


def provider(client: Client, settings: dict[str, str], **changes: str) -> PowerAutomate:
    return PowerAutomate({**settings, **changes}, base_url=f"{client.url}/power_automate")


def test_a_flow_runs(client: Client) -> None:
    accepted = deliver(provider(client, SETTINGS), MESSAGE, client.url)
    (kept,) = client.messages(order="1042")
    assert (kept["id"], kept["channel"]) == (accepted.vendor_id, "automation")
    assert (kept["to"], kept["subject"]) == (WORKFLOW, "order.status_changed")
    assert kept["text"] == "Order 1042: ready_for_pickup"
    assert kept["extra"]["event"]["order"]["parts"][0]["name"] == "Harvest Bowl"
    assert "aBcD" not in str(kept)


def test_a_flow_that_knows_our_key_says_how_it_ended(client: Client, receiver: Receiver) -> None:
    made = provider(client, SETTINGS)
    deliver(made, MESSAGE, client.url)
    (receipt,) = made.receipts(receiver.next().as_call())
    assert (receipt.kind, receipt.attempt_id) == ("delivered", MESSAGE.attempt_id)


def test_a_flow_of_the_tenant_runs_and_tokens_are_kept(client: Client) -> None:
    client.register("power_automate", TENANT)
    made = provider(client, TENANT)
    for _ in range(2):
        deliver(made, MESSAGE, client.url)
    client.control("DELETE", "power_automate/tokens")
    deliver(made, MESSAGE, client.url)
    assert len(client.messages()) == 3
    assert "eyJ0" not in str(client.messages())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"client_id": "other"}, "unauthorized_client"),
        ({"tenant_id": "other"}, "unauthorized_client"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"audience": "https://service.powerautomate.cn/"}, "MisMatchingOAuthClaims"),
    ],
)
def test_a_wrong_app(client: Client, change: dict[str, str], code: str) -> None:
    client.register("power_automate", TENANT)
    with pytest.raises(ConfigurationError) as caught:
        deliver(provider(client, TENANT, **change), MESSAGE, client.url)
    assert caught.value.vendor_code == code
    assert client.messages() == []


def test_one_slash_is_another_audience(client: Client) -> None:
    client.register("power_automate", TENANT)
    form = {
        "grant_type": "client_credentials",
        "client_id": TENANT["client_id"],
        "client_secret": TENANT["client_secret"],
        "scope": "https://service.flow.microsoft.com/.default",
    }
    base = f"{client.url}/power_automate"
    answer = client.send(
        HttpRequest.post(f"{base}/{TENANT['tenant_id']}/oauth2/v2.0/token", form=form)
    )
    token = answer.json()["access_token"]
    request = provider(client, TENANT).request(MESSAGE)
    headers = {**request.headers, "Authorization": f"Bearer {token}"}
    refused = client.send(replace(request, headers=headers))
    assert code_of(refused) == (401, "MisMatchingOAuthClaims")
    no_token = client.send(
        HttpRequest.post(f"{base}/{TENANT['tenant_id']}/oauth2/v2.0/token", form={})
    )
    assert no_token.json()["error"] == "unsupported_grant_type"


def code_of(response: HttpResponse) -> tuple[int, str]:
    return response.status, response.json()["error"]["code"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (("sig=aBcD", "sig=other"), 401, "DirectApiAuthorizationRequired"),
        (("&sig=", "&x="), 401, "DirectApiAuthorizationRequired"),
        ((WORKFLOW, "deleted"), 404, "WorkflowNotFound"),
    ],
)
def test_a_wrong_url(client: Client, change: tuple[str, str], status: int, code: str) -> None:
    request = provider(client, SETTINGS).request(MESSAGE)
    answer = client.send(replace(request, url=request.url.replace(*change)))
    assert code_of(answer) == (status, code)
    assert client.messages() == []


def without(path: str) -> Callable[[Any], None]:
    def change(event: Any) -> None:
        *outer, last = path.split(".")
        for name in outer:
            event = event[name]
        del event[last]

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e["order"].update(eta=None),
        lambda e: e["order"].update(number=1042),
        lambda e: e["order"]["parts"][0].update(eta=None),
        lambda e: e["changes"][0].update(old=None),
        lambda e: e["restaurant"].update(location=None),
        lambda e: e.update(test="yes"),
        lambda e: e.update(order=[]),
        without("event_id"),
        without("occurred_at"),
        without("restaurant.id"),
        without("order.status"),
    ],
)
def test_a_flow_takes_what_its_schema_says(client: Client, change: Callable[[Any], None]) -> None:
    request = provider(client, SETTINGS).request(MESSAGE)
    event = json.loads(request.body)
    change(event)
    answer = client.send(replace(request, body=json.dumps(event).encode()))
    assert code_of(answer) == (400, "TriggerInputSchemaMismatch")
    assert client.messages() == []


@pytest.mark.parametrize("path", ["order.parts", "order.eta", "changes", "restaurant.location"])
def test_what_is_not_known_may_be_left_out(client: Client, path: str) -> None:
    request = provider(client, SETTINGS).request(MESSAGE)
    event = json.loads(request.body)
    without(path)(event)
    answer = client.send(replace(request, body=json.dumps(event).encode()))
    assert answer.status == 202


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_a_flow_takes_objects_only(client: Client, body: bytes) -> None:
    request = provider(client, SETTINGS).request(MESSAGE)
    assert code_of(client.send(replace(request, body=body)))[0] == 400


@pytest.mark.parametrize(
    ("ending", "error", "code"),
    [
        ("-off", ConfigurationError, "WorkflowTriggerIsNotEnabled"),
        ("-schema", MessageRejected, "TriggerInputSchemaMismatch"),
        ("-forbidden", ConfigurationError, "Forbidden"),
        ("-large", MessageRejected, "RequestEntityTooLarge"),
    ],
)
def test_flows_that_refuse(client: Client, ending: str, error: type[Exception], code: str) -> None:
    settings = {"trigger_url": URL.replace(WORKFLOW, f"a{ending}")}
    client.register("power_automate", settings)
    with pytest.raises((error,)) as caught:
        deliver(provider(client, settings), MESSAGE, client.url)
    raised: Any = caught.value
    assert (type(raised), raised.vendor_code) == (error, code)
    assert client.messages() == []


@pytest.mark.parametrize("ending", ["-silent", "-late", "-answers"])
def test_flows_whose_response_action_differs(client: Client, ending: str) -> None:
    settings = {"trigger_url": URL.replace(WORKFLOW, f"a{ending}")}
    client.register("power_automate", settings)
    accepted = deliver(provider(client, settings), MESSAGE, client.url)
    (kept,) = client.messages()
    late = "the flow runs; its Response action did not answer"
    assert accepted == Accepted(kept["id"], detail="" if ending == "-answers" else late)


@pytest.mark.parametrize(("kind", "error"), [("429", RateLimited), ("502", OutcomeUnknown)])
def test_faults_in_the_vendors_shape(client: Client, kind: str, error: type[Exception]) -> None:
    fault = {"vendor": "power_automate", "kind": kind, "times": 1, "retry_after_s": 5}
    client.control("POST", "faults", fault)
    with pytest.raises((error,)) as caught:
        deliver(provider(client, SETTINGS), MESSAGE, client.url)
    assert getattr(caught.value, "retry_after_s", 5.0) == 5.0
    assert client.messages() == []


def test_an_account_is_a_flow_or_its_key(client: Client) -> None:
    for settings in ({"trigger_url": "https://example.com/"}, {}, {**TENANT, "tenant_id": ""}):
        refused = client.try_control(
            "POST", "accounts", {"vendor": "power_automate", "settings": settings}
        )
        assert refused.status == 400


# --- flows that call us ---------------------------------------------------------------------------


def test_our_source_reads_what_a_flow_posts(client: Client, receiver: Receiver) -> None:
    client.register("power_automate", {"secret": "a-key"})
    wanted = {"vendor": "power_automate", "order_id": "42", "status": "Ready", "change": "updated"}
    account = {"settings": {"secret": "a-key"}, "webhook_url": f"{receiver.url}/hooks/orders/t/"}
    client.control("POST", "emit", {**wanted, **account, "data": {"number": "1042"}})
    call = receiver.next().as_call()
    made = Source({"secret": "a-key"})
    made.verify(call)
    with pytest.raises(SignatureInvalid):
        Source({"secret": "other"}).verify(call)
    (update,) = made.parse(call)
    assert isinstance(update, OrderUpdate)
    assert (update.order_id, update.display) == ("42", "1042")
    assert [one.state for one in update.observations] == ["ready"]


def test_an_event_is_about_a_record(client: Client) -> None:
    wanted = {"vendor": "power_automate", "settings": {"secret": "a-key"}}
    assert client.try_control("POST", "emit", wanted).status == 400
