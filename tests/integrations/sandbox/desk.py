"""A restaurant with a helpdesk: real dispatch out, the helpdesk's own calls back in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from integrations.sandbox.server import SandboxServer
from notifications.models import Delivery, InboundMessage, ProviderAccount, Route
from notifications.selectors import clear_caches, webhook_url
from tests.factories import make_provider_account
from tests.integrations.sandbox.calls import Client, Received, Receiver
from tests.notifications.test_replies import text as texted
from tests.stage import Stage, build_stage

GUEST = "ana@example.com"
TO_GUESTS = ("Guest: order received", "Guest: progress", "Guest: order changed")


@dataclass
class Desk:
    """The stage, the helpdesk's account, and the guest's side of the helpdesk."""

    stage: Stage
    account: ProviderAccount
    client: Client
    receiver: Receiver

    def ask(self, text: str, **words: Any) -> tuple[dict[str, Any], Any]:
        """Somebody writes at the helpdesk; what the stand-in made of it and what we answered."""
        wanted = {"vendor": self.account.provider, "from": GUEST, "text": text, **words}
        said = self.client.control("POST", "reply", wanted)
        return said, self.hand_in(self.receiver.next())

    def hand_in(self, call: Received) -> Any:
        """Bring a call of the vendor to our endpoint as it was made."""
        return self.stage.client.post(
            f"/hooks/messages/{self.account.token}/",
            data=call.body,
            content_type=call.headers["content-type"],
            headers={n: v for n, v in call.headers.items() if not n.startswith("content-")},
        )

    def ticket(self, number: object) -> dict[str, Any]:
        """A ticket as the stand-in keeps it."""
        found: dict[str, Any] = self.client.control(
            "GET", f"{self.account.provider}/tickets/{number}"
        )
        return found

    def close(self, number: object, status: object) -> None:
        """An agent closes a ticket."""
        self.client.control("PUT", f"{self.account.provider}/tickets/{number}", {"status": status})

    def delete(self, number: object) -> None:
        """An agent deletes a ticket."""
        self.client.control("DELETE", f"{self.account.provider}/tickets/{number}")

    def numbers(self) -> list[str]:
        """The tickets of what we wrote, in that order."""
        return [m["extra"]["ticket"] for m in self.stage.messages(self.account.provider)]

    def move(self, state: str, **data: Any) -> None:
        """The kitchen says ``state``, and what it causes leaves."""
        self.stage.post(state=state, **data)
        self.stage.settle_and_send()

    def deliveries(self) -> list[Delivery]:
        """Ours at this helpdesk, oldest first."""
        found = Delivery.objects.filter(account=self.account).select_related("notification")
        return list(found.order_by("pk"))


def build_desk(
    sandbox: SandboxServer, receiver: Receiver, key: str, settings: dict[str, str]
) -> Desk:
    """Guests hear by ticket, and so do staff when a guest wrote something only they can answer."""
    stage = build_stage(sandbox)
    account = make_provider_account(stage.restaurant, provider=key, settings=settings, rate_per_s=0)
    step = [{"channel": "helpdesk", "when": "now"}]
    Route.objects.filter(name__in=[*TO_GUESTS, "Team: a guest wrote"]).update(steps=step)
    clear_caches()
    client = Client(sandbox, receiver)
    known = {
        "vendor": key,
        "settings": settings,
        "webhook_url": webhook_url(account.token),
        "deliver_to": f"{receiver.url}/hooks/",
    }
    client.control("POST", "accounts", known)
    return Desk(stage, account, client, receiver)


# --- what every helpdesk must do ------------------------------------------------------------------


def one_ticket_holds_the_whole_life(desk: Desk) -> dict[str, Any]:
    """Opened by the first message, commented by the others, in public; hands back the ticket."""
    desk.stage.open()
    desk.stage.settle_and_send()
    for state in ("preparing", "ready", "picked_up"):
        desk.move(state)
    rows = desk.deliveries()
    assert [(row.notification.milestone, row.state) for row in rows] == [
        ("received", "accepted"),
        ("preparing", "accepted"),
        ("ready", "accepted"),
    ]
    [number] = {row.vendor_id for row in rows}
    assert desk.numbers() == [number] * 3
    ticket = desk.ticket(number)
    assert ticket["requester"] == GUEST
    assert [comment["public"] for comment in ticket["comments"]] == [True] * 3
    assert "ready for pickup" in ticket["comments"][-1]["text"]
    return ticket


def a_question_is_answered_on_its_ticket(desk: Desk) -> dict[str, Any]:
    """Asked in a ticket of the guest's own: answered there, in public, with the estimate."""
    desk.stage.open()
    desk.stage.settle_and_send()
    ready_at = datetime.now(UTC) + timedelta(minutes=30)
    desk.move("preparing", times={"est_ready_at": ready_at.isoformat(timespec="seconds")})
    [ours] = set(desk.numbers())
    said, answer = desk.ask("Hi! Where is my order?", subject="Dinner")
    assert (said["status"], answer.status_code) == (200, 200)
    asked_in = said["to"]
    assert asked_in != ours
    inbound = InboundMessage.objects.get()
    assert (inbound.intent, inbound.thread, inbound.channel) == ("status", asked_in, "helpdesk")
    assert inbound.outcome == "answered with the order's state"
    desk.stage.settle_and_send()
    ticket = desk.ticket(asked_in)
    question, reply = ticket["comments"]
    assert (question["author"], reply["author"]) == (GUEST, "agent@example.com")
    assert reply["public"] is True
    assert "order 1042 is being prepared" in reply["text"]
    there = ready_at.astimezone(ZoneInfo("America/New_York"))
    assert f"Ready about {there:%H:%M} (in " in reply["text"]
    assert desk.deliveries()[-1].vendor_id == asked_in
    # from here on this is the ticket the guest reads
    desk.move("ready")
    assert desk.numbers()[-1] == asked_in
    return ticket


def our_own_words_come_back_and_nothing_follows(desk: Desk) -> None:
    """The restaurant's rule fires on our comment too: no loop may begin."""
    desk.stage.open()
    said, _ = desk.ask("where is my order?")
    desk.stage.settle_and_send()
    before = (InboundMessage.objects.count(), Delivery.objects.count())
    ours = desk.ticket(said["to"])["comments"][-1]["text"]
    for text in (ours, "Where is my order?"):
        _, answer = desk.ask(text, ticket=said["to"], author="agent@example.com")
        assert answer.status_code == 200
    desk.stage.settle_and_send()
    assert (InboundMessage.objects.count(), Delivery.objects.count()) == before


def a_repeated_call_is_answered_once(desk: Desk) -> None:
    """The vendor gives a call twice; the guest reads one answer."""
    desk.stage.open()
    wanted = {"vendor": desk.account.provider, "from": GUEST, "text": "where is my order?"}
    said = desk.client.control("POST", "reply", wanted)
    call = desk.receiver.next()
    assert [desk.hand_in(call).status_code for _ in range(3)] == [200] * 3
    desk.stage.settle_and_send()
    assert InboundMessage.objects.count() == 1
    assert len(desk.ticket(said["to"])["comments"]) == 2


def a_stranger_learns_nothing(desk: Desk) -> None:
    """Whoever knows a number of an order but wrote from another mailbox gets no answer."""
    desk.stage.open()
    desk.stage.settle_and_send()
    before = len(desk.stage.messages(desk.account.provider))
    said, answer = desk.ask("Where is my order 1042?", **{"from": "eve@example.com"})
    desk.stage.settle_and_send()
    assert answer.status_code == 200
    assert len(desk.stage.messages(desk.account.provider)) == before
    assert len(desk.ticket(said["to"])["comments"]) == 1
    assert InboundMessage.objects.get().order is None


def a_stop_is_heard(desk: Desk) -> None:
    """A stop written on a ticket ends the news to that mailbox."""
    desk.stage.open()
    desk.stage.settle_and_send()
    [number] = set(desk.numbers())
    _, answer = desk.ask("STOP", ticket=number)
    assert answer.status_code == 200
    desk.stage.settle_and_send()
    comments = len(desk.ticket(number)["comments"])
    desk.move("ready")
    assert len(desk.ticket(number)["comments"]) == comments


def words_for_staff_become_a_note(desk: Desk, notes: Any) -> None:
    """What a guest mailed and only people can answer: a note on the guest's ticket, not a mail."""
    desk.stage.open()
    desk.stage.settle_and_send()
    [number] = set(desk.numbers())
    notes(desk, "Please leave the sauce aside!")
    desk.stage.settle_and_send()
    note = desk.ticket(number)["comments"][-1]
    assert note["public"] is False
    assert "Please leave the sauce aside!" in note["text"]
    # the next news for the guest is public again, on the same ticket
    desk.move("ready")
    last = desk.ticket(number)["comments"][-1]
    assert (last["public"], "ready" in last["text"]) == (True, True)


def text_of_the_guest(desk: Desk, text: str) -> None:
    """The guest answers a text message; the helpdesk knows them by their mailbox."""
    assert texted(desk.stage, text).status_code == 200


def mail_of_the_guest(desk: Desk, text: str) -> None:
    """The guest mails the restaurant through another vendor."""
    mailgun = desk.stage.accounts["mailgun"]
    known = {
        "vendor": "mailgun",
        "settings": mailgun.settings,
        "webhook_url": webhook_url(mailgun.token),
        "deliver_to": f"{desk.receiver.url}/mail/",
    }
    desk.client.control("POST", "accounts", known)
    desk.client.control("POST", "reply", {"vendor": "mailgun", "from": GUEST, "text": text})
    call = desk.receiver.next()
    answer = desk.stage.client.post(
        f"/hooks/messages/{mailgun.token}/",
        data=call.body,
        content_type=call.headers["content-type"],
    )
    assert answer.status_code == 200
