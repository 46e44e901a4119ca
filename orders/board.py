"""The staff board: open orders as tickets, read in a handful of queries and computed once.

``Board.version`` changes exactly when the board does, so a refresh can be answered with
"nothing new".
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _

from integrations.contracts import RANK, TERMINAL, State
from orders import new_time, phrases, pieces
from orders.models import InboundCall, Order, OrderEvent, SourceAccount
from orders.new_time import may_have_time
from orders.page_data import first_name, version_of
from orders.uniting import order_now

#: more open orders than this: the oldest are shown, and the board says so
BOARD_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Action:
    """A button of a ticket."""

    state: str
    label: str
    is_primary: bool


@dataclass(frozen=True, slots=True)
class Ticket:
    """An order on the board."""

    public_id: uuid.UUID
    number: str
    state_word: str
    #: "Maya", or "" when nobody said
    guest: str
    fulfillment: str
    table: str
    #: kitchen and source, as far as there is more than one of them to tell apart
    place: str
    source: str
    #: "18:42 (in 6 min)", "since 18:42, 4 min"
    time: str
    due: pieces.Due
    parts_sentence: str
    chips: tuple[pieces.Chip, ...]
    items: tuple[pieces.ItemLine, ...]
    #: short sentences staff must see: held news, conflicts, a failed courier
    notes: tuple[str, ...]
    actions: tuple[Action, ...]
    #: minutes a new time can be given in, when one is due
    offers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Lane:
    """One column of the board."""

    key: str
    title: str
    tickets: tuple[Ticket, ...]


@dataclass(frozen=True, slots=True)
class StripItem:
    """One figure of the health strip."""

    label: str
    value: str
    #: fine | risk | bad | quiet
    tone: str = "fine"


@dataclass(frozen=True, slots=True)
class Board:
    """The open orders of some restaurants."""

    lanes: tuple[Lane, ...]
    strip: tuple[StripItem, ...]
    #: calls of sources we could not read; shown as a banner
    unread_calls: int
    open_count: int
    is_cut: bool
    has_restaurants: bool

    @property
    def version(self) -> str:
        """Changes when the board does."""
        return version_of(self)


_LANE_OF = {
    State.RECEIVED: "new",
    State.ACCEPTED: "new",
    State.PREPARING: "kitchen",
    State.READY: "ready",
    State.OUT_FOR_DELIVERY: "road",
}


def board_tickets(restaurant_ids: Collection[int], now: datetime) -> Board:
    """The board of these restaurants: lanes by state, the most urgent ticket first. 7 queries."""
    rows = list(
        _rows()
        .filter(restaurant_id__in=restaurant_ids, is_open=True)
        .order_by("placed_at", "id")[: BOARD_LIMIT + 1]
    )
    orders = rows[:BOARD_LIMIT]
    accounts = _accounts(restaurant_ids)
    context = _BoardContext(
        now=now,
        accounts=accounts,
        many_restaurants=len({order.restaurant_id for order in orders}) > 1,
        many_locations=len({order.location_id for order in orders}) > 1,
    )
    tickets = {order.pk: _ticket(order, context) for order in orders}
    lanes = []
    for key, title in (
        ("new", _("New")),
        ("kitchen", _("Preparing")),
        ("ready", _("Ready")),
        ("road", _("On the way")),
    ):
        mine = [order for order in orders if _LANE_OF.get(State(order.state), "new") == key]
        mine.sort(key=lambda order: _urgency(order, tickets[order.pk], now))
        lanes.append(Lane(key, title, tuple(tickets[order.pk] for order in mine)))
    unread = InboundCall.objects.filter(
        account__in=list(accounts), state__in=["quarantined", "failed"]
    ).count()
    return Board(
        lanes=tuple(lanes),
        strip=tuple(_strip(tickets.values(), accounts.values(), now)),
        unread_calls=unread,
        open_count=len(orders),
        is_cut=len(rows) > BOARD_LIMIT,
        has_restaurants=bool(restaurant_ids),
    )


def _rows() -> QuerySet[Order]:
    events = OrderEvent.objects.filter(kind="status_changed").order_by("recorded_at", "id")
    return Order.objects.select_related("restaurant", "location", "subject").prefetch_related(
        "parts", "items", "aliases", Prefetch("events", events)
    )


def _accounts(restaurant_ids: Collection[int]) -> dict[int, SourceAccount]:
    rows = SourceAccount.objects.filter(restaurant_id__in=restaurant_ids)
    return {account.pk: account for account in rows.defer("settings").order_by("pk")}


@dataclass(frozen=True, slots=True)
class StaffOrder:
    """One order for its staff page: the row, its ticket and its track."""

    order: Order
    ticket: Ticket
    track: tuple[pieces.Step, ...]


def staff_order(
    public_id: uuid.UUID, restaurant_ids: Collection[int], now: datetime
) -> StaffOrder | None:
    """One order of these restaurants, open or not; None when it is not one of theirs."""
    rows = _rows().filter(restaurant_id__in=restaurant_ids)
    order = order_now(rows.filter(public_id=public_id).first(), rows)
    if order is None:
        return None
    context = _BoardContext(
        now=now,
        accounts=_accounts([order.restaurant_id]),
        many_restaurants=len(restaurant_ids) > 1,
        many_locations=True,
    )
    times = pieces.state_times(order, order.events.all())
    steps = pieces.track(order, times, pieces.local_zone(order), now)
    return StaffOrder(order, _ticket(order, context), tuple(steps))


@dataclass(frozen=True, slots=True)
class _BoardContext:
    now: datetime
    accounts: dict[int, SourceAccount]
    many_restaurants: bool
    many_locations: bool


def _urgency(order: Order, ticket: Ticket, now: datetime) -> tuple[datetime, int]:
    return (ticket.due.at or order.placed_at or order.created_at or now, order.pk)


def _ticket(order: Order, context: _BoardContext) -> Ticket:
    events = list(order.events.all())
    tz, now = pieces.local_zone(order), context.now
    times = pieces.state_times(order, events)
    due = pieces.due(order, now)
    parts = list(order.parts.all())
    place = [order.restaurant.name] if context.many_restaurants else []
    if context.many_locations and order.location:
        place.append(order.location.name)
    return Ticket(
        public_id=order.public_id,
        number=order.display or str(order.public_id)[:8],
        state_word=phrases.state_word(order.state, order.fulfillment),
        guest=first_name(order),
        fulfillment=phrases.fulfillment_word(order.fulfillment),
        table=str(order.detail.get("table") or ""),
        place=" · ".join(place),
        source=_source_name(order, context.accounts),
        time=_ticket_time(order, due, times, tz, now),
        due=due,
        parts_sentence=pieces.parts_sentence(parts, now),
        chips=tuple(pieces.chips(parts, now)),
        items=tuple(pieces.item_lines(order.items.all())),
        notes=tuple(_notes(order, events)),
        actions=tuple(actions(order)),
        offers=new_time.OFFERS if due.standing != "fine" and may_have_time(order) else (),
    )


def _ticket_time(
    order: Order, due: pieces.Due, times: dict[str, datetime], tz: ZoneInfo, now: datetime
) -> str:
    since = times.get(order.state)
    if due.standing == "over" and since:
        words = {
            "time": phrases.clock(since, tz, now),
            "span": phrases.span(max(0, phrases.minutes_between(since, now))),
        }
        return _("since %(time)s, %(span)s") % words
    if due.at:
        return phrases.clock_in(due.at, tz, now)
    if order.placed_at:
        return _("placed %(time)s") % {"time": phrases.clock(order.placed_at, tz, now)}
    return _("no time given")


def _source_name(order: Order, accounts: dict[int, SourceAccount]) -> str:
    for alias in order.aliases.all():
        kind, _sep, key = alias.system.partition(":")
        if kind == "account" and key.isdecimal() and int(key) in accounts:
            return accounts[int(key)].name
    return ""


def _notes(order: Order, events: list[OrderEvent]) -> list[str]:
    flags = {
        "conflict": _("The sources disagree about how this order ended."),
        "courier_failed": _("The courier run failed. Somebody must decide."),
        "reopened": _("Reopened after it was closed."),
        "after_sale": _("Cancelled or refunded after it was handed over."),
    }
    notes = [text for flag, text in flags.items() if flag in order.flags]
    if events and events[-1].held and events[-1].milestone in RANK:
        word = phrases.state_word(events[-1].milestone, order.fulfillment)
        notes.append(_("“%(state)s” was held back: the guest was not told.") % {"state": word})
    return notes


def actions(order: Order) -> list[Action]:
    """The buttons that make sense now, the next step first; cancel is always the last one."""
    travels = order.fulfillment in phrases.TRAVELLING
    labels = {
        State.PREPARING: _("Start"),
        State.READY: _("Ready"),
        State.OUT_FOR_DELIVERY: _("On the way"),
        State.PICKED_UP: _("Served") if order.fulfillment == "dine_in" else _("Picked up"),
        State.DELIVERED: _("Delivered"),
    }
    after_ready = [State.OUT_FOR_DELIVERY, State.DELIVERED] if travels else [State.PICKED_UP]
    steps = {
        State.RECEIVED: [State.PREPARING, State.READY],
        State.ACCEPTED: [State.PREPARING, State.READY],
        State.PREPARING: [State.READY],
        State.READY: after_ready,
        State.OUT_FOR_DELIVERY: [State.DELIVERED],
    }.get(State(order.state), [])
    made = [Action(state, labels[state], position == 0) for position, state in enumerate(steps)]
    if order.state not in TERMINAL:
        made.append(Action(State.CANCELLED, _("Cancel order"), False))
    return made


def _strip(
    tickets: Iterable[Ticket], accounts: Iterable[SourceAccount], now: datetime
) -> list[StripItem]:
    standings = Counter(ticket.due.standing for ticket in tickets)
    late, risk = standings["late"], standings["risk"]
    strip = [
        StripItem(_("open"), str(standings.total())),
        StripItem(_("late"), str(late), "bad" if late else "fine"),
        StripItem(_("due soon"), str(risk), "risk" if risk else "fine"),
    ]
    for account in accounts:
        if not account.enabled:
            strip.append(StripItem(account.name, _("switched off"), "quiet"))
        elif account.last_call_at is None:
            strip.append(StripItem(account.name, _("no news yet"), "quiet"))
        else:
            strip.append(StripItem(account.name, phrases.ago(account.last_call_at, now)))
    return strip


def order_of(public_id: uuid.UUID, restaurant_ids: Collection[int]) -> Order | None:
    """The order a manager may press buttons on; None when it is not one of theirs."""
    rows = Order.objects.filter(restaurant_id__in=restaurant_ids).prefetch_related("parts")
    return order_now(rows.filter(public_id=public_id).first(), rows)
