"""The Freshdesk stand-in, and a whole order's life on one ticket through real dispatch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations import http
from integrations.contracts import HttpRequest, HttpResponse, basic_auth
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.freshdesk import Freshdesk
from integrations.sandbox.server import SandboxServer
from notifications import lookups
from tests.integrations import fixture_files as files
from tests.integrations.sandbox import desk as desks
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sandbox.desk import Desk, build_desk
from tests.integrations.sandbox.through import deliver

SETTINGS = files.settings("freshdesk")
MESSAGE = files.message("freshdesk")
TICKETS = "/freshdesk/api/v2/tickets"


@pytest.fixture
def account(client: Client) -> None:
    client.register("freshdesk", SETTINGS)


@pytest.fixture
def desk(db: None, sandbox: SandboxServer, receiver: Receiver, settings: Any) -> Iterator[Desk]:
    settings.SANDBOX_URL = sandbox.url
    http.configure(connect_timeout_s=2, read_timeout_s=3, allowed_origins=[sandbox.url])
    yield build_desk(sandbox, receiver, "freshdesk", SETTINGS)
    http.close()


def provider(client: Client, **settings: str) -> Freshdesk:
    return Freshdesk({**SETTINGS, **settings}, base_url=f"{client.url}/freshdesk")


def send(client: Client, **changes: Any) -> Any:
    return deliver(provider(client), replace(MESSAGE, **changes), client.url)


def post(client: Client, path: str, body: Any, key: str = SETTINGS["api_key"]) -> HttpResponse:
    return client.send(HttpRequest.post(f"{TICKETS}{path}", json_body=body, auth=(key, "X")))


# --- the order's life -----------------------------------------------------------------------------


def test_one_ticket_holds_the_whole_life(desk: Desk) -> None:
    ticket = desks.one_ticket_holds_the_whole_life(desk)
    assert {"order_alert", "order_received", "order-1042"} <= set(ticket["tags"])
    first = desk.stage.messages("freshdesk")[0]
    assert first["raw"]["path"] == f"{TICKETS}/outbound_email"


def test_a_question_is_answered_on_its_ticket(desk: Desk) -> None:
    desks.a_question_is_answered_on_its_ticket(desk)


def test_our_own_words_come_back_and_nothing_follows(desk: Desk) -> None:
    desks.our_own_words_come_back_and_nothing_follows(desk)


def test_a_repeated_call_is_answered_once(desk: Desk) -> None:
    desks.a_repeated_call_is_answered_once(desk)


def test_a_stranger_learns_nothing(desk: Desk) -> None:
    desks.a_stranger_learns_nothing(desk)


def test_a_stop_is_heard(desk: Desk) -> None:
    desks.a_stop_is_heard(desk)


@pytest.mark.parametrize("said", [desks.mail_of_the_guest, desks.text_of_the_guest])
def test_words_for_staff_become_a_note(desk: Desk, said: Any) -> None:
    desks.words_for_staff_become_a_note(desk, said)


def test_a_deleted_ticket_is_opened_anew(desk: Desk) -> None:
    desk.stage.open()
    desk.stage.settle_and_send()
    [first] = set(desk.numbers())
    desk.delete(first)
    desk.move("ready")
    second = desk.numbers()[-1]
    assert second != first
    assert desk.deliveries()[-1].vendor_id == second


@pytest.mark.parametrize("is_new", [True, False])
def test_what_was_taken_before_the_line_broke_is_found(desk: Desk, is_new: bool) -> None:
    """The vendor took it and never answered: asked, it says so, and nothing is sent twice."""
    desk.stage.open()
    if not is_new:
        desk.stage.settle_and_send()
        desk.stage.post(state="ready")
    desk.stage.fault(vendor="freshdesk", kind="drop_after_accept", times=1)
    desk.stage.settle_and_send()
    row = desk.deliveries()[-1]
    assert (row.state, row.reason) == ("unknown", "outcome_unknown")
    assert lookups.resolve_unknown(datetime.now(UTC) + timedelta(seconds=10)) == 1
    row.refresh_from_db()
    assert (row.state, row.reason) == ("accepted", "found_at_vendor")
    assert desk.numbers().count(row.vendor_id) == (1 if is_new else 2)


# --- the stand-in ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("account")
def test_understands_our_provider(client: Client) -> None:
    accepted = send(client)
    (kept,) = client.messages(order="1042")
    # the mark is nothing a reader sees
    assert (kept["channel"], kept["to"], kept["text"]) == ("helpdesk", MESSAGE.to, MESSAGE.text)
    assert kept["extra"]["ticket"] == accepted.vendor_id
    assert SETTINGS["api_key"] not in str(kept)
    assert basic_auth(SETTINGS["api_key"], "X") not in str(kept)


@pytest.mark.usefixtures("account")
def test_a_reply_is_mailed_and_a_note_is_not(client: Client) -> None:
    ticket = send(client).vendor_id
    send(client, replaces_vendor_id=ticket)
    send(client, replaces_vendor_id=ticket, recipient={"audience": "staff"})
    assert [m["extra"]["public"] for m in client.messages()] == [True, True, False]
    listed = client.send(
        HttpRequest.get(f"{TICKETS}/{ticket}/conversations", auth=(SETTINGS["api_key"], "X"))
    )
    assert [(one["private"], one["to_emails"]) for one in listed.json()] == [
        (False, ["ana@example.com"]),
        (True, []),
    ]


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("undeliverable@example.com", RecipientUnreachable),
        ("refused@example.com", MessageRejected),
        ("forbidden@example.com", ConfigurationError),
        ("conflict@example.com", TransientError),
        ("throttled@example.com", RateLimited),
        ("maintenance@example.com", TransientError),
    ],
)
def test_people_who_provoke_a_refusal(client: Client, to: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        send(client, to=to)
    assert type(caught.value) is error
    assert client.messages() == []


@pytest.mark.usefixtures("account")
def test_a_wrong_key_and_a_wrong_mailbox(client: Client) -> None:
    with pytest.raises(ConfigurationError) as caught:
        deliver(provider(client, api_key="other"), MESSAGE, client.url)
    assert caught.value.vendor_code == "invalid_credentials"
    with pytest.raises(ConfigurationError, match="email_config_id"):
        deliver(provider(client, email_config_id="7"), MESSAGE, client.url)


GOOD = {
    "subject": "x",
    "description": "<p>x</p>",
    "email": "ana@example.com",
    "status": 2,
    "priority": 1,
}


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"subject": ""}, "subject", "missing_field"),
        ({"status": None}, "status", "missing_field"),
        ({"email": None}, "requester_id", "missing_field"),
        ({"email": "ana"}, "email", "invalid_value"),
        ({"priority": "high"}, "priority", "datatype_mismatch"),
        ({"priority": 5}, "priority", "invalid_value"),
        ({"tags": ["t" * 33]}, "tags", "invalid_value"),
        ({"custom_fields": {"order": "1"}}, "custom_fields", "invalid_field"),
        ({"colour": "red"}, "colour", "invalid_field"),
    ],
)
def test_what_the_api_refuses(client: Client, change: Any, field: str, code: str) -> None:
    body = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    answer = post(client, "", body)
    [error] = answer.json()["errors"]
    assert (answer.status, error["field"], error["code"]) == (400, field, code)
    assert client.messages() == []


@pytest.mark.usefixtures("account")
def test_what_is_not_there(client: Client) -> None:
    assert post(client, "/1/reply", {"body": "x"}).status == 404
    ticket = send(client).vendor_id
    assert post(client, f"/{ticket}/reply", {}).status == 400
    assert post(client, f"/{ticket}/reply", {"body": "x"}, key="other").status == 401


@pytest.mark.usefixtures("account")
def test_a_guest_asks_and_our_provider_reads_it(client: Client, receiver: Receiver) -> None:
    said = client.control(
        "POST",
        "reply",
        {"vendor": "freshdesk", "from": "bo@example.com", "subject": "Hi", "text": "<3 When?"},
    )
    call = receiver.next().as_call()
    assert "ticket_latest_public_comment" not in json.loads(call.body)["freshdesk_webhook"]
    [reply] = provider(client).replies(call)
    assert (reply.sender, reply.text, reply.thread) == (
        "bo@example.com",
        "Hi\n<3 When?",
        said["to"],
    )
    client.control("POST", "reply", {"vendor": "freshdesk", "ticket": said["to"], "text": "When?"})
    [reply] = provider(client).replies(receiver.next().as_call())
    assert (reply.sender, reply.text) == ("bo@example.com", "When?")


@pytest.mark.usefixtures("account")
def test_faults_look_like_the_vendors(client: Client) -> None:
    client.control("POST", "faults", {"vendor": "freshdesk", "kind": "429", "retry_after_s": 5})
    with pytest.raises(RateLimited) as caught:
        send(client)
    assert caught.value.retry_after_s == 5.0
