"""The Zendesk stand-in, and a whole order's life on one ticket through real dispatch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations import http
from integrations.contracts import HttpRequest, HttpResponse
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.providers.zendesk import Zendesk
from integrations.sandbox.server import SandboxServer
from notifications import lookups
from tests.integrations import fixture_files as files
from tests.integrations.sandbox import desk as desks
from tests.integrations.sandbox.calls import Client, Receiver
from tests.integrations.sandbox.desk import Desk, build_desk
from tests.integrations.sandbox.through import deliver

SETTINGS = files.settings("zendesk")
MESSAGE = files.message("zendesk")
TICKETS = "/zendesk/api/v2/tickets"


@pytest.fixture
def account(client: Client) -> None:
    client.register("zendesk", SETTINGS)


@pytest.fixture
def desk(db: None, sandbox: SandboxServer, receiver: Receiver, settings: Any) -> Iterator[Desk]:
    settings.SANDBOX_URL = sandbox.url
    http.configure(connect_timeout_s=2, read_timeout_s=3, allowed_origins=[sandbox.url])
    yield build_desk(sandbox, receiver, "zendesk", SETTINGS)
    http.close()


def provider(client: Client, **settings: str) -> Zendesk:
    return Zendesk({**SETTINGS, **settings}, base_url=f"{client.url}/zendesk")


def send(client: Client, **changes: Any) -> Any:
    return deliver(provider(client), replace(MESSAGE, **changes), client.url)


def token(client: Client, scope: str = "tickets:read tickets:write") -> str:
    credentials = {
        "grant_type": "client_credentials",
        "client_id": SETTINGS["client_id"],
        "client_secret": SETTINGS["client_secret"],
        "scope": scope,
    }
    answer = client.send(HttpRequest.post("/zendesk/oauth/tokens", json_body=credentials))
    assert answer.status == 200
    return str(answer.json()["access_token"])


def post(client: Client, body: Any, *, method: str = "POST", path: str = "", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"Authorization": f"Bearer {token(client)}", **named}
    request = HttpRequest.post(f"{TICKETS}{path}", json_body=body, headers=named)
    return client.send(replace(request, method=method))


# --- the order's life -----------------------------------------------------------------------------


def test_one_ticket_holds_the_whole_life(desk: Desk) -> None:
    ticket = desks.one_ticket_holds_the_whole_life(desk)
    order = desk.stage.order()
    assert ticket["external_id"] == f"order-{order.public_id}"
    assert ticket["status"] == "pending"
    assert {"order_alert", "order_received", "order_preparing", "order_ready"} <= set(
        ticket["tags"]
    )


def test_a_question_is_answered_on_its_ticket(desk: Desk) -> None:
    ticket = desks.a_question_is_answered_on_its_ticket(desk)
    assert {"auto_answered", "order_status_requested"} <= set(ticket["tags"])


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


def test_a_closed_ticket_is_followed_by_another(desk: Desk) -> None:
    desk.stage.open()
    desk.stage.settle_and_send()
    [first] = set(desk.numbers())
    desk.close(first, "closed")
    desk.move("ready")
    second = desk.numbers()[-1]
    assert second != first
    assert str(desk.ticket(second)["follows"]) == first
    assert len(desk.ticket(first)["comments"]) == 1
    assert desk.deliveries()[-1].vendor_id == second


def test_a_deleted_ticket_is_opened_anew(desk: Desk) -> None:
    desk.stage.open()
    desk.stage.settle_and_send()
    [first] = set(desk.numbers())
    desk.delete(first)
    desk.move("ready")
    second = desk.numbers()[-1]
    assert second != first
    assert desk.ticket(second)["follows"] is None


@pytest.mark.parametrize("is_new", [True, False])
def test_what_was_taken_before_the_line_broke_is_found(desk: Desk, is_new: bool) -> None:
    """The vendor took it and never answered: asked, it says so, and nothing is sent twice."""
    desk.stage.open()
    if not is_new:
        desk.stage.settle_and_send()
        desk.stage.post(state="ready")
    # the token comes first, then the ticket or comment whose answer is lost
    desk.stage.fault(vendor="zendesk", kind="drop_after_accept", after=1, times=1)
    desk.stage.settle_and_send()
    row = desk.deliveries()[-1]
    assert (row.state, row.reason) == ("unknown", "outcome_unknown")
    assert lookups.resolve_unknown(datetime.now(UTC) + timedelta(seconds=10)) == 1
    row.refresh_from_db()
    assert (row.state, row.reason) == ("accepted", "found_at_vendor")
    assert desk.ticket(row.vendor_id)["requester"] == desks.GUEST
    assert desk.numbers().count(row.vendor_id) == (1 if is_new else 2)


# --- the stand-in ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("account")
def test_understands_our_provider(client: Client) -> None:
    accepted = send(client)
    (kept,) = client.messages(order="1042")
    assert (kept["channel"], kept["to"], kept["text"]) == ("helpdesk", MESSAGE.to, MESSAGE.text)
    assert kept["extra"]["ticket"] == accepted.vendor_id
    assert kept["extra"]["public"] is True
    assert SETTINGS["client_secret"] not in str(kept)
    assert "Bearer" not in str(kept)


@pytest.mark.usefixtures("account")
def test_a_repeated_key_makes_no_second_ticket(client: Client) -> None:
    first, again = send(client), send(client)
    assert first.vendor_id == again.vendor_id
    assert len(client.messages()) == 1
    with pytest.raises(OutcomeUnknown) as caught:
        send(client, text="in other words")
    assert caught.value.vendor_code == "IdempotentRequestError"
    found = provider(client).look_up(replace(MESSAGE, text="in other words"))
    assert found is not None
    headers = {**found.headers, "Authorization": f"Bearer {token(client)}"}
    listed = client.send(replace(found, headers=headers))
    assert provider(client).looked_up(MESSAGE, listed) == replace(first, detail="")


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("suspended@example.com", RecipientUnreachable),
        ("undeliverable@example.com", RecipientUnreachable),
        ("refused@example.com", MessageRejected),
        ("forbidden@example.com", ConfigurationError),
        ("throttled@example.com", RateLimited),
        ("maintenance@example.com", RateLimited),
    ],
)
def test_people_who_provoke_a_refusal(client: Client, to: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        send(client, to=to)
    assert type(caught.value) is error
    assert client.messages() == []


@pytest.mark.usefixtures("account")
def test_two_changes_at_once_collide(client: Client) -> None:
    ticket = send(client, to="conflict@example.com").vendor_id
    with pytest.raises(TransientError):
        send(client, to="conflict@example.com", replaces_vendor_id=ticket)


@pytest.mark.usefixtures("account")
def test_a_ticket_takes_thirty_updates_in_ten_minutes(client: Client) -> None:
    ticket = send(client).vendor_id
    made = provider(client)
    for number in range(30):
        message = replace(MESSAGE, replaces_vendor_id=ticket, text=f"news {number}")
        deliver(made, message, client.url)
    with pytest.raises(RateLimited) as caught:
        deliver(made, replace(MESSAGE, replaces_vendor_id=ticket), client.url)
    assert caught.value.retry_after_s is not None
    assert 500 < caught.value.retry_after_s <= 600


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    "settings", [{"client_id": "other"}, {"client_secret": "0" * 32}], ids=["client", "secret"]
)
def test_wrong_credentials_get_no_token(client: Client, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        deliver(provider(client, **settings), MESSAGE, client.url)
    assert caught.value.vendor_code == "invalid_client"


@pytest.mark.usefixtures("account")
def test_a_token_that_ended_early_is_renewed(client: Client) -> None:
    made = provider(client)
    ticket = deliver(made, MESSAGE, client.url).vendor_id
    client.control("DELETE", "zendesk/tokens")
    deliver(made, replace(MESSAGE, replaces_vendor_id=ticket), client.url)
    assert len(client.messages()) == 2


@pytest.mark.usefixtures("account")
def test_a_token_that_may_only_read_writes_nothing(client: Client) -> None:
    bearer = f"Bearer {token(client, 'tickets:read')}"
    body = {"ticket": {"comment": {"body": "x"}}}
    assert post(client, body, Authorization=bearer).status == 403
    assert client.send(HttpRequest.get(TICKETS, headers={"Authorization": bearer})).status == 200
    assert client.send(HttpRequest.get(TICKETS)).status == 401


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("ticket", "field"),
    [
        ({"subject": "x"}, "base"),
        ({"comment": {"body": " "}}, "base"),
        ({"comment": {"body": "x"}, "requester": {"email": "ana@example.com"}}, "requester"),
        ({"comment": {"body": "x"}, "requester": {"name": "Ana", "email": "ana"}}, "requester"),
        ({"comment": {"body": "x"}, "status": "done"}, "status"),
        ({"comment": {"body": "x"}, "priority": "highest"}, "priority"),
        ({"comment": {"body": "x"}, "subject": "s" * 256}, "subject"),
        ([], "base"),
    ],
)
def test_what_the_api_refuses(client: Client, ticket: Any, field: str) -> None:
    answer = post(client, {"ticket": ticket})
    assert (answer.status, answer.json()["error"]) == (422, "RecordInvalid")
    assert list(answer.json()["details"]) == [field]
    assert client.messages() == []


@pytest.mark.usefixtures("account")
def test_tags_replace_and_additional_tags_add(client: Client) -> None:
    number = send(client).vendor_id
    more = post(client, {"ticket": {"additional_tags": ["vip"]}}, method="PUT", path=f"/{number}")
    assert {"vip", "order_alert"} <= set(more.json()["ticket"]["tags"])
    less = post(client, {"ticket": {"tags": ["only"]}}, method="PUT", path=f"/{number}")
    assert less.json()["ticket"]["tags"] == ["only"]


@pytest.mark.usefixtures("account")
def test_a_guest_asks_and_our_provider_reads_it(client: Client, receiver: Receiver) -> None:
    said = client.control(
        "POST",
        "reply",
        {"vendor": "zendesk", "from": "bo@example.com", "subject": "Hi", "text": "When?"},
    )
    call = receiver.next().as_call()
    [reply] = provider(client).replies(call)
    assert (reply.sender, reply.text, reply.thread) == ("bo@example.com", "Hi\nWhen?", said["to"])
    assert json.loads(call.body)["event"] == "ticket_created"
    missing = {"vendor": "zendesk", "from": "bo@example.com", "text": "x", "ticket": "1"}
    assert client.try_control("POST", "reply", missing).status == 400
    nobody = {"vendor": "zendesk", "from": "+12025550142", "text": "x"}
    assert client.try_control("POST", "reply", nobody).status == 400


@pytest.mark.usefixtures("account")
def test_faults_look_like_the_vendors(client: Client) -> None:
    made = provider(client)
    deliver(made, MESSAGE, client.url)
    client.control("POST", "faults", {"vendor": "zendesk", "kind": "429", "retry_after_s": 5})
    with pytest.raises(RateLimited) as caught:
        deliver(made, MESSAGE, client.url)
    assert caught.value.retry_after_s == 5.0
    assert isinstance(client.get(TICKETS), HttpResponse)
