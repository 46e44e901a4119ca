"""The sandbox's own endpoints, its outgoing calls and its message wall."""

from __future__ import annotations

import queue
from typing import Any

import pytest

from integrations.contracts import HttpRequest
from integrations.sandbox.server import SandboxServer
from integrations.sandbox.state import MESSAGES_KEPT, SandboxAccount, SandboxMessage, SandboxState
from tests.integrations.sandbox.calls import (
    MAILGUN,
    PUBLIC,
    TWILIO,
    Client,
    Receiver,
    mail,
    text,
)

CALLBACK = f"{PUBLIC}/hooks/messages/twilio/?a=1"


@pytest.fixture(autouse=True)
def accounts(client: Client) -> None:
    client.register("twilio", TWILIO)
    client.register("mailgun", MAILGUN)


def test_health_counts(client: Client) -> None:
    text(client)
    health = client.control("GET", "health")
    assert (health["status"], health["accounts"]) == ("ok", 2)
    assert health["accepted"] == {"twilio": 1}
    assert {"twilio", "mailgun", "slack", "square"} <= set(health["vendors"])


def test_messages_are_filtered_by_order_and_vendor(client: Client) -> None:
    text(client, Body="Order #104 is ready")
    text(client, Body="Order #1042 is ready")
    mail(client, subject="Order A-77: on its way")
    assert [m["order"] for m in client.messages()] == ["104", "1042", "A-77"]
    assert [m["text"] for m in client.messages(order="104")] == ["Order #104 is ready"]
    assert [m["vendor"] for m in client.messages(order="A-77")] == ["mailgun"]
    assert len(client.messages(vendor="twilio")) == 2
    client.control("DELETE", "messages")
    assert client.messages() == []


def test_one_message_can_be_read_whole(client: Client) -> None:
    mail(client, html="<p>Come.</p>")
    (message,) = client.messages()
    assert client.control("GET", f"messages/{message['id']}")["html"] == "<p>Come.</p>"
    assert client.try_control("GET", "messages/none").status == 404


def test_only_the_newest_messages_are_kept() -> None:
    state = SandboxState()
    account = SandboxAccount("twilio", {})
    for number in range(MESSAGES_KEPT + 2):
        state.add_message(
            SandboxMessage(
                vendor="twilio",
                channel="sms",
                account=account,
                id=f"SM{number}",
                to="+12025550142",
                text="",
                raw=dict,
            )
        )
    assert len(list(state.messages())) == MESSAGES_KEPT
    assert (state.message("SM1"), state.newest(1)[0].id) == (None, f"SM{MESSAGES_KEPT + 1}")


def test_recording_can_be_switched_off(client: Client) -> None:
    assert client.control("POST", "settings", {"record": False, "latency_ms": 1})["record"] is False
    assert text(client).status == 201
    assert client.messages() == []
    assert client.control("GET", "health")["accepted"] == {"twilio": 1}


@pytest.mark.parametrize("wanted", [{"speed": 1}, {"record": 1}, {"latency_ms": -1}])
def test_impossible_settings_are_refused(client: Client, wanted: dict[str, Any]) -> None:
    before = client.control("GET", "settings")
    assert client.try_control("POST", "settings", wanted).status == 400
    assert client.control("GET", "settings") == before


@pytest.mark.parametrize(
    "account",
    [
        {"vendor": "nobody", "settings": {}},
        {"vendor": "twilio", "settings": {"account_sid": "AC1"}},
        {"vendor": "twilio", "settings": "none"},
        {"vendor": "slack", "settings": {"webhook_url": "https://example.com/"}},
    ],
)
def test_impossible_accounts_are_refused(client: Client, account: dict[str, Any]) -> None:
    response = client.try_control("POST", "accounts", account)
    assert response.status == 400
    assert response.json_object()["error"]
    assert len(client.control("GET", "accounts")["accounts"]) == 2


def test_accounts_are_listed_without_secrets(client: Client) -> None:
    listed = client.control("GET", "accounts?vendor=twilio")
    assert listed["accounts"][0]["name"] == TWILIO["account_sid"]
    assert TWILIO["auth_token"] not in str(listed)


def test_pages_of_other_sites_cannot_post(client: Client) -> None:
    headers = {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}
    forged = client.send(HttpRequest("DELETE", "/_sandbox/messages", headers, b"{}"))
    assert forged.status == 403
    plain = HttpRequest("POST", "/_sandbox/faults", {"Content-Type": "text/plain"}, b"{}")
    assert client.send(plain).status == 400
    broken = {"Content-Type": "application/json"}
    assert client.send(HttpRequest("POST", "/_sandbox/reply", broken, b"[")).status == 400


def test_a_reply_needs_an_account_and_an_address(client: Client, receiver: Receiver) -> None:
    for words in (
        {"vendor": "slack", "from": "x", "text": "y"},
        {"vendor": "twilio", "text": "y"},
        {"vendor": "mailgun", "from": "no address", "text": "y"},
        {"vendor": "twilio", "from": "+1", "text": "y", "account": "https://other.example.com/"},
    ):
        assert client.try_control("POST", "reply", words).status == 400
    assert receiver.calls.empty()


def test_receipts_are_repeated_while_our_server_fails(client: Client, receiver: Receiver) -> None:
    receiver.statuses = [503]
    text(client, StatusCallback=CALLBACK)
    calls = [receiver.next() for _ in range(3)]
    kinds = [call.form["MessageStatus"] for call in calls]
    assert kinds == ["sent", "delivered", "sent"]
    assert calls[0] == calls[2]
    with pytest.raises(queue.Empty):
        receiver.calls.get_nowait()


def test_an_unreachable_server_is_told(client: Client) -> None:
    account = {
        "vendor": "twilio",
        "settings": TWILIO,
        "webhook_url": f"{PUBLIC}/gone/",
        "deliver_to": "http://127.0.0.1:9/gone/",
    }
    client.control("POST", "accounts", account)
    words = {"vendor": "twilio", "account": f"{PUBLIC}/gone/", "from": "+12025550142", "text": "?"}
    assert client.control("POST", "reply", words)["status"] == 0


def test_receipts_are_shown_with_our_answer(client: Client, receiver: Receiver) -> None:
    receiver.statuses = [200, 404]
    text(client, StatusCallback=CALLBACK)
    receiver.next()
    receiver.next()
    version = 0
    receipts: list[dict[str, Any]] = []
    while len(receipts) < 2:
        wall = client.control("GET", f"wall?have={version}")
        version = wall["version"]
        receipts = wall.get("messages", [{"receipts": receipts}])[0]["receipts"]
    assert [(r["kind"], r["status"]) for r in receipts] == [("sent", 200), ("delivered", 404)]


def test_the_wall_says_when_nothing_changed(client: Client) -> None:
    text(client)
    wall = client.control("GET", "wall")
    assert wall["messages"][0]["text"] == "Order #1042 is ready"
    assert "raw" not in wall["messages"][0]
    assert client.control("GET", f"wall?have={wall['version']}") == {"version": wall["version"]}
    magic = {vendor["key"]: vendor["magic"] for vendor in wall["vendors"]}
    assert {"recipient": "+15005550001", "outcome": "21211 invalid number"} in magic["twilio"]


def test_the_wall_page_is_self_contained(client: Client) -> None:
    page = client.get("/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    words = page.text()
    for name in ("Phones", "Mailbox", "Team chat", "Faults"):
        assert name in words
    assert 'src="http' not in words
    assert "@import" not in words


def test_the_server_takes_a_port_and_gives_it_back() -> None:
    first = SandboxServer().start()
    port = first.port
    assert first.url == f"http://127.0.0.1:{port}"
    with pytest.raises(OSError, match="address already in use"):
        SandboxServer().start(port)
    first.stop()
    first.stop()
    with SandboxServer().start(port) as again:
        assert again.port == port
