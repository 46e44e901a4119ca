"""The Teams stand-in: cards, error codes, words from an outgoing webhook."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.contracts import Channel, HttpRequest, HttpResponse, Message
from integrations.errors import ConfigurationError, MessageRejected
from integrations.providers.teams import Teams
from tests.integrations.sandbox.calls import Client, Receiver

ATTEMPT = "7d0c1f3a-1111-4222-8333-444455556666"
PATH = "/powerautomate/automations/direct/workflows/w0rk/triggers/manual/paths/invoke"
SETTINGS = {
    "webhook_url": f"https://env.0a.environment.api.powerplatform.com{PATH}?api-version=1&sig=s3c%2Bret",
    "outgoing_token": "vqF0En+Z0ucuRTM/01o2GuhMH3hKKk/N2bOmlM31zaA=",
}
MESSAGE = Message(
    attempt_id=ATTEMPT,
    channel=Channel.TEAM_CHAT,
    to="",
    text="Order #1042 is late. *Call* them.",
    subject="Order #1042 is delayed",
    order={"number": "1042"},
    links={"order": "https://alerts.example.com/board/1042/"},
)


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("teams", SETTINGS)


def post(client: Client, payload: Any, url: str = f"{PATH}?sig=s3c%2Bret") -> HttpResponse:
    return client.send(HttpRequest.post(f"/teams{url}", json_body=payload))


def attachment(**card: Any) -> dict[str, Any]:
    content = {"type": "AdaptiveCard", "version": "1.4", "body": [], **card}
    kind = "application/vnd.microsoft.card.adaptive"
    return {
        "type": "message",
        "attachments": [{"contentType": kind, "contentUrl": None, "content": content}],
    }


def test_understands_our_provider(client: Client, receiver: Receiver) -> None:
    provider = Teams(SETTINGS, base_url=f"{client.url}/teams")
    accepted = provider.outcome(MESSAGE, client.send(provider.request(MESSAGE)))
    (kept,) = client.messages(order="1042")
    assert (kept["id"], kept["channel"], kept["attempt"]) == (
        accepted.vendor_id,
        "team_chat",
        ATTEMPT,
    )
    assert kept["subject"] == "Order #1042 is delayed"
    assert kept["extra"]["lines"][:2] == [MESSAGE.text, "Order: 1042"]
    assert kept["extra"]["buttons"] == [{"label": "Open order", "url": MESSAGE.links["order"]}]
    assert "s3c" not in str(kept)
    assert receiver.calls.empty()


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        (f"{PATH}?sig=wrong", 401, "DirectApiAuthorizationRequired"),
        (PATH, 401, "DirectApiAuthorizationRequired"),
        (PATH.replace("w0rk", "gone") + "?sig=s3c%2Bret", 404, "WorkflowNotFound"),
    ],
)
def test_refuses_a_wrong_url(client: Client, url: str, status: int, code: str) -> None:
    response = post(client, attachment(), url)
    assert (response.status, response.json_object()["error"]["code"]) == (status, code)
    assert client.messages() == []


@pytest.mark.parametrize(
    ("flow", "code", "error"),
    [
        ("turned-off", "WorkflowTriggerIsNotEnabled", ConfigurationError),
        ("tenant-only", "DirectApiAuthorizationRequired", ConfigurationError),
        ("other-tenant", "MisMatchingOAuthClaims", ConfigurationError),
        ("other-schema", "TriggerInputSchemaMismatch", MessageRejected),
    ],
)
def test_a_flow_something_happened_to(
    client: Client, flow: str, code: str, error: type[Exception]
) -> None:
    settings = {"webhook_url": SETTINGS["webhook_url"].replace("w0rk", flow)}
    client.register("teams", settings)
    provider = Teams(settings, base_url=f"{client.url}/teams")
    answer = client.send(provider.request(MESSAGE))
    with pytest.raises((ConfigurationError, MessageRejected)) as caught:
        provider.outcome(MESSAGE, answer)
    assert (type(caught.value), caught.value.vendor_code) == (error, code)
    assert client.messages() == []


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {"text": "old"},
        {"@type": "MessageCard", "text": "old"},
        attachment(version="1.6"),
        attachment(body=[{"type": "TextBlock"}]),
        attachment(body=[{"type": "FactSet", "facts": [{"title": "x"}]}]),
        attachment(actions=[{"type": "Action.Submit", "title": "x"}]),
        attachment(actions=[{"type": "Action.OpenUrl", "title": "x"}]),
    ],
)
def test_refuses_what_is_no_card(client: Client, payload: Any) -> None:
    response = post(client, payload)
    assert response.status == 400
    assert response.json_object()["error"]["code"] == "TriggerInputSchemaMismatch"
    assert client.messages() == []


def test_what_is_too_large_is_taken_and_never_shown(client: Client) -> None:
    payload = attachment(body=[{"type": "TextBlock", "text": "x" * 30_000}])
    assert post(client, payload).status == 202
    assert client.messages() == []


@pytest.mark.parametrize(("kind", "code"), [("429", "TooManyRequests"), ("502", "NoResponse")])
def test_faults_in_the_vendors_shape(client: Client, kind: str, code: str) -> None:
    client.control("POST", "faults", {"vendor": "teams", "kind": kind, "times": 1})
    response = post(client, attachment())
    assert response.json_object()["error"]["code"] == code
    assert ("retry-after" in response.headers) is (kind == "429")


def test_our_provider_reads_what_staff_write(client: Client, receiver: Receiver) -> None:
    words = {"vendor": "teams", "from": "Sam", "text": f"ack {ATTEMPT}"}
    assert client.control("POST", "reply", words)["status"] == 200
    (reply,) = Teams(SETTINGS).replies(receiver.next().as_call())
    assert reply.action == {"type": "acknowledge", "value": ATTEMPT}
    assert (reply.sender, reply.recipient) == ("aad-sam", "19:kitchen")
