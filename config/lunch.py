"""The lunch service: twelve orders in three minutes, posted as the vendors post them.

Every update is a signed webhook to the real endpoint; Square's are thin and answered by the
sandbox when we fetch the order. The shapes are those of the vendors' published examples, the
people and numbers are made up (reserved ranges).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from config.demo import LOCATION_ID, SQUARE_LOCATION_ID, SandboxRefused, emit, sandbox_post
from integrations.errors import IntegrationError

Step = tuple[float, Callable[[], None]]


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody hungry."""

    name: str
    phone: str = ""
    email: str = ""


ANA = Guest("Ana Silva", "+12025550142", "ana@example.com")
BEN = Guest("Ben Okafor", "+12025550143")
CHIARA = Guest("Chiara Rossi", "+12025550144", "chiara@example.com")
DEV = Guest("Dev Patel", "", "dev@example.com")
ELIF = Guest("Elif Kaya", "+12025550146")
FINN = Guest("Finn Berg", "+12025550147", "finn@example.com")


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in(minutes: float) -> str:
    return _iso(datetime.now(UTC) + timedelta(minutes=minutes))


@dataclass(slots=True)
class Till:
    """An order at Square: planted whole, announced by a thin event."""

    number: str
    guest: Guest
    items: list[str]
    kind: str = "PICKUP"
    minutes: int = 20
    id: str = field(default_factory=lambda: "sq" + uuid.uuid4().hex[:24])
    version: int = 0
    placed_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def courier_id(self) -> str:
        """The id under which the courier's company knows the delivery."""
        return f"del_{self.id}"

    def change(self, state: str, *, order_state: str = "OPEN") -> None:
        """The fulfilment moves to ``state``; Square tells us to look."""
        self.version += 1
        self._plant(state, order_state)
        name = "order.created" if self.version == 1 else "order.updated"
        emit("square", type=name, order_id=self.id)

    def _plant(self, state: str, order_state: str) -> None:
        when = _iso(datetime.now(UTC))
        details: dict[str, Any] = {
            "recipient": {
                "display_name": self.guest.name,
                "phone_number": self.guest.phone,
                "email_address": self.guest.email,
            },
            "schedule_type": "ASAP",
            "placed_at": _iso(self.placed_at),
        }
        due = _iso(self.placed_at + timedelta(minutes=self.minutes))
        if self.kind == "DELIVERY":
            details |= {"deliver_at": due, "external_delivery_id": self.courier_id}
            named = {"delivery_details": details}
        else:
            details["pickup_at"] = due
            named = {"pickup_details": details}
        order = {
            "id": self.id,
            "location_id": SQUARE_LOCATION_ID,
            "ticket_name": self.number,
            "source": {"name": "Square Online"},
            "state": order_state,
            "version": self.version,
            "created_at": _iso(self.placed_at),
            "updated_at": when,
            "line_items": [
                {"uid": f"li-{n}", "name": name, "quantity": "1", "variation_name": "Regular"}
                for n, name in enumerate(self.items)
            ],
            "fulfillments": [
                {
                    "uid": f"ful-{self.id[:10]}",
                    "type": self.kind,
                    "state": state,
                    "line_item_application": "ALL",
                    **named,
                }
            ],
        }
        sandbox_post(f"square/orders/{self.id}", order, method="PUT")

    def courier(self, status: str, minutes: float) -> None:
        """News from the courier's company about this order."""
        emit(
            "uber_eats",
            delivery_id=self.courier_id,
            status=status,
            data={
                "dropoff_eta": _in(minutes),
                "courier": {"name": "Casey R."},
                "tracking_url": f"https://track.example.com/{self.courier_id}",
            },
        )


@dataclass(slots=True)
class Shop:
    """An order of the web shop, which speaks CloudEvents."""

    number: str
    guest: Guest
    fulfillment: str = "pickup"
    sequence: int = 0

    def post(self, **data: Any) -> None:
        """One event with the next sequence number."""
        self.sequence += 1
        emit(
            "cloudevents",
            order_id=f"WEB-{self.number}",
            sequence=self.sequence,
            data={"order": {"id": f"WEB-{self.number}", "display": self.number}, **data},
        )

    def open(self, items: list[str], minutes: float, **data: Any) -> None:
        """The first event: everything the shop knows."""
        guest = {"name": self.guest.name, "contact_kind": "direct"}
        if self.guest.phone:
            guest["phone"] = self.guest.phone
        if self.guest.email:
            guest["email"] = self.guest.email
        self.post(
            state="received",
            location={"id": LOCATION_ID},
            fulfillment={"type": self.fulfillment, "scheduled": False},
            customer=guest,
            items=_items(items),
            times={
                "placed_at": _in(0),
                "promised_at": _in(minutes),
                f"est_{'delivery' if self.fulfillment == 'delivery' else 'ready'}_at": _in(minutes),
            },
            **data,
        )


def _items(labels: list[str]) -> list[dict[str, Any]]:
    return [{"id": f"item-{n}", "label": label} for n, label in enumerate(labels)]


def _bowl(number: int, label: str, state: str, minutes: float) -> dict[str, Any]:
    return {
        "id": f"bowl-{number}",
        "label": label,
        "state": state,
        "est_ready_at": _in(minutes),
    }


def _simple_till(
    at: float, number: str, guest: Guest, items: list[str], pace: float
) -> Iterator[Step]:
    till = Till(number, guest, items)
    for n, state in enumerate(("PROPOSED", "RESERVED", "PREPARED", "COMPLETED")):
        yield at + n * pace, lambda state=state: till.change(state)  # type: ignore[misc]


def _simple_shop(
    at: float, number: str, guest: Guest, items: list[str], pace: float
) -> Iterator[Step]:
    shop = Shop(number, guest)
    yield at, lambda: shop.open(items, 18)
    for n, state in enumerate(("preparing", "ready", "picked_up"), start=1):
        yield at + n * pace, lambda state=state: shop.post(state=state)  # type: ignore[misc]


def _three_bowls() -> Iterator[Step]:
    shop = Shop("1042", ANA)
    names = ("Harvest Bowl", "Miso Salmon Bowl", "Tofu Bowl")

    def bowls(*states: str) -> list[dict[str, Any]]:
        return [
            _bowl(n, name, state, 3 * n)
            for n, (name, state) in enumerate(zip(names, states, strict=True), start=1)
        ]

    yield (
        4,
        lambda: shop.open(list(names), 15, parts=bowls("received", "received", "received")),
    )
    yield 24, lambda: shop.post(parts=bowls("preparing", "preparing", "preparing"))
    yield 50, lambda: shop.post(parts=[{"id": "bowl-1", "state": "ready"}])
    yield 75, lambda: shop.post(parts=[{"id": "bowl-2", "state": "ready"}])
    yield 150, lambda: shop.post(parts=[{"id": "bowl-3", "state": "ready"}])
    yield 176, lambda: shop.post(state="picked_up")


def _courier_order() -> Iterator[Step]:
    till = Till("1043", CHIARA, ["Ramen", "Gyoza"], kind="DELIVERY", minutes=35)
    yield 8, lambda: till.change("PROPOSED")
    yield 22, lambda: till.change("RESERVED")
    yield 40, lambda: till.courier("pickup", 30)
    yield 66, lambda: till.change("PREPARED")
    yield 92, lambda: till.courier("pickup_complete", 14)
    # the till is closed by the cashier while the courier still drives
    yield 110, lambda: till.change("COMPLETED", order_state="COMPLETED")
    yield 160, lambda: till.courier("delivered", 0)


def _delayed() -> Iterator[Step]:
    shop = Shop("1044", ELIF)
    yield 12, lambda: shop.open(["Poke Bowl", "Miso Soup"], 20)
    yield 30, lambda: shop.post(state="preparing")
    yield 58, lambda: shop.post(times={"est_ready_at": _in(34)})
    yield 66, lambda: shop.post(times={"est_ready_at": _in(34)})
    yield 140, lambda: shop.post(state="ready", times={"est_ready_at": _in(0)})
    yield 168, lambda: shop.post(state="picked_up")


def _edited() -> Iterator[Step]:
    shop = Shop("1045", FINN)
    yield 16, lambda: shop.open(["Harvest Bowl", "Iced Tea"], 18)
    yield 34, lambda: shop.post(state="preparing")
    yield 62, lambda: shop.post(items=_items(["Harvest Bowl", "Miso Soup"]))
    yield 112, lambda: shop.post(state="ready")
    yield 150, lambda: shop.post(state="picked_up")


def _cancelled() -> Iterator[Step]:
    till = Till("1046", BEN, ["Tofu Bowl"])
    yield 20, lambda: till.change("PROPOSED")
    yield 44, lambda: till.change("RESERVED")
    yield 80, lambda: till.change("CANCELED", order_state="CANCELED")


def _delivered_by_shop() -> Iterator[Step]:
    shop = Shop("1048", DEV, fulfillment="delivery")
    yield 26, lambda: shop.open(["Udon", "Edamame"], 40)
    yield 48, lambda: shop.post(state="preparing")
    yield 84, lambda: shop.post(state="ready")
    yield (
        108,
        lambda: shop.post(
            legs=[{"id": "own-1", "state": "out_for_delivery", "est_delivery_at": _in(12)}]
        ),
    )
    yield 172, lambda: shop.post(legs=[{"id": "own-1", "state": "delivered"}])


def script() -> list[Step]:
    """Every step of the service: seconds after the start, and what happens."""
    steps: list[Step] = [
        *_simple_till(0, "1041", BEN, ["Harvest Bowl"], 36),
        *_three_bowls(),
        *_courier_order(),
        *_delayed(),
        *_edited(),
        *_cancelled(),
        *_simple_shop(24, "1047", CHIARA, ["Miso Soup"], 34),
        *_delivered_by_shop(),
        *_simple_till(32, "1049", FINN, ["Ramen"], 38),
        *_simple_shop(46, "1050", ELIF, ["Gyoza", "Iced Tea"], 40),
        *_simple_till(60, "1051", DEV, ["Poke Bowl"], 36),
        *_simple_shop(72, "1052", BEN, ["Udon"], 32),
    ]
    return sorted(steps, key=lambda step: step[0])


def play(stop: threading.Event, *, speed: float = 1.0) -> int:
    """Play the script until its end or ``stop``; returns how many steps were posted.

    A step that cannot be posted (the sandbox is gone) is tried again a second later.
    """
    began = time.monotonic()
    posted = 0
    for at, act in script():
        if stop.wait(max(0.0, began + at / speed - time.monotonic())):
            break
        while not stop.is_set():
            try:
                act()
            except (IntegrationError, SandboxRefused):
                stop.wait(1.0)
                continue
            posted += 1
            break
    return posted
