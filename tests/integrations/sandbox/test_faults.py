"""The fault plan: which requests go wrong, what the client sees, what was accepted anyway."""

from __future__ import annotations

import http.client
import socket
import threading
from typing import Any

import pytest

from integrations.sandbox.faults import Fault
from integrations.sandbox.server import SandboxServer
from tests.integrations.sandbox.calls import (
    MAILGUN,
    PUBLIC,
    SLACK,
    TWILIO,
    Client,
    Receiver,
    mail,
    text,
)

CALLBACK = f"{PUBLIC}/hooks/messages/twilio/?a=1"
VENDORS = frozenset({"twilio", "mailgun"})


@pytest.fixture(autouse=True)
def accounts(client: Client) -> None:
    client.register("twilio", TWILIO)
    client.register("mailgun", MAILGUN)
    client.register("slack", SLACK)


def _break(client: Client, kind: str, **more: Any) -> None:
    client.control("POST", "faults", {"vendor": "twilio", "kind": kind, **more})


@pytest.mark.parametrize(
    ("fault", "hits"),
    [
        ({"times": 2}, [1, 1, 0, 0, 0, 0]),
        ({"after": 2, "times": 1}, [0, 0, 1, 0, 0, 0]),
        ({"every": 3}, [0, 0, 1, 0, 0, 1]),
        ({"every": 2, "after": 1, "times": 2}, [0, 0, 1, 0, 1, 0]),
    ],
)
def test_counts_the_requests_it_hits(fault: dict[str, int], hits: list[int]) -> None:
    plan = Fault.from_json({"vendor": "twilio", "kind": "500", **fault}, vendors=VENDORS)
    assert [int(plan.hit()) for _ in hits] == hits


@pytest.mark.parametrize(
    "wanted",
    [
        {"kind": "fire"},
        {"kind": "500", "vendor": "nobody"},
        {"kind": "500", "times": -1},
        {"kind": "500", "times": True},
        {"kind": "slow", "delay_ms": "long"},
    ],
)
def test_refuses_a_fault_that_makes_no_sense(client: Client, wanted: dict[str, Any]) -> None:
    response = client.try_control("POST", "faults", wanted)
    assert response.status == 400
    assert response.json_object()["error"]
    assert client.control("GET", "faults") == {"faults": []}


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_answers_the_vendors_refusal(client: Client, status: int) -> None:
    _break(client, str(status), times=1, retry_after_s=7)
    refused = text(client)
    assert refused.status == status
    assert refused.json_object()["status"] == status
    assert refused.headers.get("retry-after") == ("7" if status in (429, 503) else None)
    assert client.messages() == []
    assert text(client).status == 201


def test_every_vendor_refuses_in_its_own_shape(client: Client) -> None:
    client.control("POST", "faults", {"vendor": "*", "kind": "429"})
    assert text(client).json_object()["code"] == 20429
    assert "message" in mail(client).json_object()


def test_a_fault_of_one_vendor_spares_the_others(client: Client) -> None:
    _break(client, "500")
    assert mail(client).status == 200
    assert text(client).status == 500


def test_an_html_page_of_a_proxy(client: Client) -> None:
    _break(client, "html", status=200)
    response = text(client)
    assert (response.status, response.json()) == (200, None)
    assert response.headers["content-type"].startswith("text/html")


def test_drop_after_accept_records_and_hangs_up(client: Client, receiver: Receiver) -> None:
    _break(client, "drop_after_accept", times=1)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        text(client, StatusCallback=CALLBACK)
    (message,) = client.messages(order="1042")
    assert receiver.next().form["MessageSid"] == message["id"]


def test_disconnect_accepts_nothing(client: Client) -> None:
    _break(client, "disconnect")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        text(client)
    assert client.messages() == []


def test_slow_answers_late(client: Client) -> None:
    _break(client, "slow", delay_ms=1)
    assert text(client).status == 201
    assert client.control("GET", "faults")["faults"][0]["hits"] == 1


def test_a_timeout_does_not_hold_up_stopping(receiver: Receiver) -> None:
    with SandboxServer().start() as server:
        client = Client(server, receiver)
        client.register("twilio", TWILIO)
        _break(client, "timeout", times=1)
        waiting = threading.Thread(target=_swallow, args=(client,))
        waiting.start()
        _until_hit(client)
        # the other requests of the vendor are served meanwhile
        assert text(client).status == 201
        assert len(client.messages()) == 1
    waiting.join(timeout=5)
    assert not waiting.is_alive()


def _swallow(client: Client) -> None:
    with pytest.raises((http.client.HTTPException, OSError, socket.timeout)):
        text(client)


def _until_hit(client: Client) -> None:
    for _ in range(1000):
        if client.control("GET", "faults")["faults"][0]["hits"]:
            return
    pytest.fail("the request never arrived")


def test_duplicate_receipts(client: Client, receiver: Receiver) -> None:
    _break(client, "duplicate_receipts", times=1)
    text(client, StatusCallback=CALLBACK)
    kinds = [receiver.next().form["MessageStatus"] for _ in range(4)]
    assert kinds == ["sent", "sent", "delivered", "delivered"]


def test_out_of_order_receipts(client: Client, receiver: Receiver) -> None:
    _break(client, "out_of_order_receipts", times=1)
    text(client, StatusCallback=CALLBACK)
    kinds = [receiver.next().form["MessageStatus"] for _ in range(2)]
    assert kinds == ["delivered", "sent"]


def test_lost_receipts(client: Client, receiver: Receiver) -> None:
    _break(client, "lost_receipts", times=1)
    assert text(client, StatusCallback=CALLBACK).status == 201
    assert client.control("GET", "health")["callbacks"]["waiting"] == 0
    text(client, Body="the next one", StatusCallback=CALLBACK)
    first = receiver.next().form["MessageSid"]
    assert client.messages()[1]["id"] == first


def test_faults_can_be_ended(client: Client) -> None:
    _break(client, "500")
    _break(client, "503")
    first, second = client.control("GET", "faults")["faults"]
    left = client.control("DELETE", f"faults?id={first['id']}")["faults"]
    assert [fault["id"] for fault in left] == [second["id"]]
    assert client.control("DELETE", "faults") == {"faults": []}
    assert text(client).status == 201
