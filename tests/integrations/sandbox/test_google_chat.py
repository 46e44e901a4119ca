"""The Google Chat stand-in: field names, error bodies, one message per request id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from integrations.contracts import Channel, HttpRequest, HttpResponse, Message
from integrations.errors import ConfigurationError
from integrations.providers.google_chat import GoogleChat
from tests.integrations.sandbox.calls import Client

ATTEMPT = "7d0c1f3a-1111-4222-8333-444455556666"
PATH = "/v1/spaces/AAA/messages"
SETTINGS = {"webhook_url": f"https://chat.googleapis.com{PATH}?key=k-1&token=s3cret%3D"}
#: only a Chat app can take a click
CLICK = {"buttonList": {"buttons": [{"text": "x", "onClick": {"action": {}}}]}}
QUERY = "?key=k-1&token=s3cret%3D"
MESSAGE = Message(
    attempt_id=ATTEMPT,
    channel=Channel.TEAM_CHAT,
    to="",
    text="Order #1042 is late & cold.",
    subject="Order #1042 is delayed",
    order={"number": "1042"},
    links={"order": "https://alerts.example.com/board/1042/"},
    thread_key="order-1042",
    delivery_key="7",
)


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("google_chat", SETTINGS)


def post(client: Client, payload: Any, url: str = PATH + QUERY) -> HttpResponse:
    return client.send(HttpRequest.post(f"/google_chat{url}", json_body=payload))


def test_understands_our_provider_and_drops_repetitions(client: Client) -> None:
    provider = GoogleChat(SETTINGS, base_url=f"{client.url}/google_chat")
    accepted = provider.outcome(MESSAGE, client.send(provider.request(MESSAGE)))
    again = replace(MESSAGE, attempt_id="other")
    assert provider.outcome(again, client.send(provider.request(again))) == accepted
    (kept,) = client.messages(order="1042")
    assert (kept["id"], kept["attempt"]) == (accepted.vendor_id, ATTEMPT)
    assert kept["subject"] == "Order #1042 is delayed"
    assert kept["extra"]["lines"][:2] == [MESSAGE.text, "Order: 1042"]
    assert kept["extra"]["buttons"] == [{"label": "Open order", "url": MESSAGE.links["order"]}]
    assert "s3cret" not in str(kept)


def test_a_thread_needs_its_reply_option(client: Client) -> None:
    payload = {"text": "x", "thread": {"threadKey": "order-7"}}
    option = "&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"
    with_option = post(client, payload, PATH + QUERY + option).json_object()
    assert with_option["thread"]["name"] == "spaces/AAA/threads/order-7"
    assert post(client, payload).json_object()["thread"]["name"] != with_option["thread"]["name"]


@pytest.mark.parametrize(
    ("url", "status", "word"),
    [
        (f"{PATH}?key=k-1&token=wrong", 403, "PERMISSION_DENIED"),
        (f"{PATH}?key=wrong&token=x", 400, "INVALID_ARGUMENT"),
        (PATH.replace("AAA", "BBB") + QUERY, 404, "NOT_FOUND"),
    ],
)
def test_refuses_a_wrong_url(client: Client, url: str, status: int, word: str) -> None:
    response = post(client, {"text": "x"}, url)
    assert (response.status, response.json_object()["error"]["status"]) == (status, word)
    assert client.messages() == []


@pytest.mark.parametrize(
    ("space", "status"),
    [("DELETED", 404), ("REMOVED", 404), ("FORBIDDEN", 403), ("SWITCHEDOFF", 403),
     ("STALETOKEN", 401)],
)  # fmt: skip
def test_a_space_something_happened_to(client: Client, space: str, status: int) -> None:
    settings = {"webhook_url": SETTINGS["webhook_url"].replace("AAA", space)}
    client.register("google_chat", settings)
    provider = GoogleChat(settings, base_url=f"{client.url}/google_chat")
    answer = client.send(provider.request(MESSAGE))
    assert answer.status == status
    with pytest.raises(ConfigurationError) as caught:
        provider.outcome(MESSAGE, answer)
    assert caught.value.endpoint_only
    assert client.messages() == []


@pytest.mark.parametrize(
    "query",
    ["&unknown=1", "&requestId=1&requestId=2", "&messageReplyOption=NEVER", "&key=k-1"],
)
def test_refuses_a_query_google_does_not_know(client: Client, query: str) -> None:
    response = post(client, {"text": "x"}, PATH + QUERY + query)
    assert (response.status, response.json_object()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert client.messages() == []


def test_all_messages_of_an_order_are_in_one_thread(client: Client) -> None:
    provider = GoogleChat(SETTINGS, base_url=f"{client.url}/google_chat")
    threads = []
    for number, key in (("1", "order-1042"), ("2", "order-1042"), ("3", "order-1043")):
        message = replace(MESSAGE, delivery_key=number, thread_key=key)
        threads.append(client.send(provider.request(message)).json_object()["thread"]["name"])
    assert threads[0] == threads[1] != threads[2]
    assert len(client.messages()) == 3


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {},
        {"text": ""},
        {"text": "x", "cardV2": []},
        {"text": "x" * 32_001},
        {"text": "x", "cardsV2": [{"card": {}}]},
        {"text": "x", "cardsV2": [{"card": {"sections": [{"widgets": [{"new": 1}]}]}}]},
        {"text": "x", "cardsV2": [{"card": {"sections": [{"widgets": [CLICK]}]}}]},
    ],
)
def test_refuses_what_google_does_not_know(client: Client, payload: Any) -> None:
    response = post(client, payload)
    assert (response.status, response.json_object()["error"]["code"]) == (400, 400)
    assert client.messages() == []


@pytest.mark.parametrize(("kind", "word"), [("429", "RESOURCE_EXHAUSTED"), ("503", "UNAVAILABLE")])
def test_faults_in_the_vendors_shape(client: Client, kind: str, word: str) -> None:
    client.control("POST", "faults", {"vendor": "google_chat", "kind": kind, "times": 1})
    response = post(client, {"text": "x"})
    assert response.json_object()["error"]["status"] == word
    assert ("retry-after" in response.headers) is (kind == "429")
