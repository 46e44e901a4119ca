"""Writes: what a source, a manager or the clock says becomes observations and order events.

Every function is one transaction: lock the order, append, project everything said so far, compare
with before, write the difference, announce it. Nothing here patches an order.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from integrations import contracts
from integrations.contracts import OrderUpdate, ordering_key
from orders import aliases, contacts, newcomers, parking, restated, rows, uniting, unknown_words
from orders.changes import Change, compute_change
from orders.history import History, load_history
from orders.lifecycle import EventDraft
from orders.models import InboundCall, Location, Observation, Order, OrderEvent, SourceAccount
from orders.news import Applied, News, at_home, row_of
from orders.selectors import MANUAL, House, fresh_house, house
from orders.signals import order_event_recorded
from orders.statements import update_rows

# --- updates of sources -----------------------------------------------------------------------


def apply_update(
    *,
    account: SourceAccount,
    update: OrderUpdate,
    call: InboundCall | None,
    received_at: datetime,
    now: datetime | None = None,
    settle_call: bool = True,
) -> Applied:
    """Append what ``update`` says to its order, making the order when nobody knew it.

    Saying the same again changes nothing. With ``settle_call`` the call is marked in the same
    statement as the order. Courier news about an unknown order is parked. ``now`` is later than
    ``received_at`` when an old call is read again: what it means may be too old to tell by then.
    """
    now = now or received_at
    with transaction.atomic(savepoint=False):
        news = News.judge(account, update, call, received_at, now, is_settling=settle_call)
        found = _find(news)
        if found.order is None:
            # whoever is first makes the order; the other one waits here and then finds it
            aliases.lock_names(account.restaurant_id, found.unknown)
            found = _find(news)
        if found.order is not None:
            return _absorb(news, at_home(found.order, news.home), found)
        if update.courier_only:
            parking.park(update, account=account, names=found.unknown, call=call, at=now)
            _note_unknown(news)
            return news.end(Applied(None, (), "parked", "waiting for the order it belongs to"))
        location = _location(news)
        if location is None:
            if name := update.location_id:
                unknown_words.note_location(name, account=account, call=call, at=received_at)
            cause = (
                f"unknown location '{update.location_id}': add this id to a location"
                if update.location_id
                else "the update names no location and the account has no default"
            )
            return news.end(Applied(None, (), "quarantined", cause))
        order = Order(restaurant=news.home.restaurant, location=location)
        return _absorb(news, order, found)


def _note_unknown(news: News) -> None:
    """Count the states nobody knows, once per statement."""
    if words := news.update.unknown_states:
        at = news.observations[0].received_at or news.at if news.observations else news.at
        is_new = news.call is None or news.call.settled_at is None
        unknown_words.note_states(words, account=news.account, call=news.call, at=at, is_new=is_new)


def _find(news: News) -> aliases.Found:
    return aliases.find_and_lock(
        news.update, account=news.account, home=news.home, received_at=news.at
    )


def _location(news: News) -> Location | None:
    """The location an update names, or the account's own when it names none; None = unknown.

    A name nobody knows may be another kitchen's order: it falls back only while the account's
    own location has no names at all, as in a restaurant that has just connected its first till.
    """
    own = news.home.locations.get(news.account.location_id or 0)
    if name := news.update.location_id:
        known = news.home.location_named(name)
        if known is None:
            news.home = fresh_house(news.account.restaurant_id)
            known = news.home.location_named(name)
        if known is not None or own is None or own.external_ids:
            return known
    return own


def _absorb(news: News, order: Order, found: aliases.Found) -> Applied:
    """Append to ``order`` (locked, or new) and write what follows."""
    is_new, unknown = order._state.adding, found.unknown
    united = uniting.unite([order, *found.same]) if found.same else None
    if united is not None:
        order, history = at_home(united.order, news.home), united.history
    else:
        history = History() if is_new else load_history(order.pk)
    parked: list[parking.Parked] = []
    if unknown:
        if not is_new:
            aliases.lock_names(order.restaurant_id, unknown)
        parked, unknown = parking.claim_parked(order.restaurant_id, unknown)
    fresh = _fresh(news, [*news.observations, *_said_while_parked(news, parked)], history)
    knew = order.subject_id
    columns, problems = contacts.settle_contact(
        order, news.update, account=news.account, home=news.home, at=news.at
    )
    news.problems += problems
    events: Sequence[OrderEvent] = ()
    if fresh or is_new or united is not None:
        _note_unknown(news)
        events = _move(news, order, history, fresh, columns, united)
    else:
        update_rows((order, columns))
    newcomers.introduce(order, knew, events, at=news.at)
    if unknown:
        aliases.add_names(order, unknown, received_at=news.at)
    if parked:
        parking.release(parked, order_id=order.pk, at=news.at)
    if not (fresh or is_new or united is not None):
        return news.end(news.verdict(order.pk, "duplicate"))
    _note_states(news.account, fresh)
    return replace(news.verdict(order.pk, "applied"), events=events)


def _move(
    news: News,
    order: Order,
    history: History,
    fresh: Sequence[contracts.Observation],
    columns: Mapping[str, Any],
    united: uniting.United | None = None,
) -> list[OrderEvent]:
    """The step ``fresh`` makes, computed and written."""
    change = compute_change(
        order=order,
        history=history,
        home=news.home,
        now=news.at,
        fresh=[*united.joining, *fresh] if united else fresh,
        is_mute=news.is_mute,
    )
    if united is not None:
        change.drafts = [*change.drafts, *united.notes(news.at)]
    change.columns, change.call = columns, news.call
    change.source, change.account = news.account.source, news.account
    change.observations = [row_of(order, one, news) for one in fresh]
    settlement = news.verdict(None, "applied").settlement(news.at) if news.is_settling else {}
    return apply_projection(order=order, change=change, now=news.at, settlement=settlement)


def _note_states(account: SourceAccount, fresh: Sequence[contracts.Observation]) -> None:
    """Remember which states this account ever states: routes waiting for others are dead."""
    mine = {str(one.state) for one in fresh if one.state and one.account == str(account.pk)}
    if mine <= set(account.seen_states):
        return

    def write() -> None:
        with transaction.atomic():
            row = SourceAccount.objects.select_for_update().only("seen_states").get(pk=account.pk)
            row.seen_states = account.seen_states = sorted({*row.seen_states, *mine})
            row.save(update_fields=["seen_states"])

    # afterwards: two orders of one account must not wait for each other
    transaction.on_commit(write, robust=True)


def _said_while_parked(news: News, parked: Sequence[parking.Parked]) -> list[contracts.Observation]:
    return [
        one
        for entry in parked
        for one in News.judge(
            entry.row.account, entry.update, entry.row.call, entry.row.parked_at, news.at
        ).observations
    ]


def _fresh(
    news: News, said: Sequence[contracts.Observation], history: History
) -> list[contracts.Observation]:
    """What was not said before, or is read with another meaning since a manager mapped it."""
    fresh: dict[tuple[str, str], contracts.Observation] = {}
    account = news.account
    for one in said:
        known = history.by_key.get((one.account, one.event_key))
        if known is not None and account.status_map_version > 1:
            known = restated.newest_reading(one, history.by_key.values())
            if known is not None and restated.is_reread(one, known, account.status_map):
                key = restated.reading_key(one.event_key, account.status_map_version)
                one = replace(one, event_key=key)
                known = history.by_key.get((one.account, key))
        if known is None:
            fresh.setdefault((one.account, one.event_key), one)
    return list(fresh.values())


# --- the one place that writes the projection -------------------------------------------------


def apply_projection(
    *,
    order: Order,
    change: Change,
    now: datetime,
    settlement: Mapping[str, Any] | None = None,
) -> list[OrderEvent]:
    """Write ``change``: observations, order, parts, items and events; then announce the events.

    The caller holds the order's lock (or the order is new). ``settlement`` marks the call in the
    statement that updates the order.
    """
    columns = dict(change.columns)
    detail = {**order.detail, **columns.pop("detail", {})}
    columns |= rows.order_columns(
        change.new, delayed=change.watch.delayed, placed_at=change.placed_at, detail=detail
    )
    columns |= rows.watch_columns(change.watch.state, change.watch.next_watch_at)
    if order.same_as_id is not None:
        columns |= uniting.CLOSED
    columns = rows.changed(order, columns)
    if change.observations or change.drafts:
        columns["updated_at"] = now
    _write_order(order, columns, change.call, settlement)
    Observation.objects.bulk_create(change.observations)
    old = change.old
    rows.write_parts(order, old.parts if old else (), change.new.parts)
    rows.write_items(order, old.items if old else (), change.new.items)
    events = [_event(order, draft, change, now) for draft in change.drafts]
    OrderEvent.objects.bulk_create(events)
    for event in events:
        order_event_recorded.send(
            sender=OrderEvent, event=event, order=order, projection=change.new
        )
    return events


def _write_order(
    order: Order,
    columns: Mapping[str, Any],
    call: InboundCall | None,
    settlement: Mapping[str, Any] | None,
) -> None:
    if order._state.adding:
        for name, value in columns.items():
            setattr(order, name, value)
        order.save(force_insert=True)
        columns = {}
    if settlement and call is not None:
        update_rows((call, {**settlement, "order_id": order.pk}), (order, columns))
    else:
        update_rows((order, columns))


def _event(order: Order, draft: EventDraft, change: Change, now: datetime) -> OrderEvent:
    return OrderEvent(
        order=order,
        kind=draft.kind,
        milestone=draft.milestone,
        part_ref=draft.part_ref,
        epoch=draft.epoch,
        data=dict(draft.data),
        held=draft.held,
        is_stale=draft.is_stale,
        source=change.source,
        account=change.account,
        call=change.call,
        occurred_at=draft.occurred_at,
        recorded_at=now,
    )


# --- people --------------------------------------------------------------------------------


def add_manual_update(
    *,
    order: Order,
    state: str | None = None,
    part_ref: str = "",
    track: str = "kitchen",
    data: Mapping[str, Any] | None = None,
    actor: str,
    at: datetime,
    once: str = "",
) -> Applied:
    """What a manager says by a button: an observation like any other, newer than all before it.

    ``data`` is a fragment of the public shape (``times``, ``reason``, ``items`` ...) with times
    as ISO 8601 text. ``once`` names a deed that counts once per order however often it is said.
    """
    one = contracts.Observation(
        event_key=f"manual:{once or uuid.uuid4()}",
        track=track,
        scope="part" if part_ref else "order",
        ref=part_ref,
        ordering_key=ordering_key(at),
        kind="transition" if state else "eta",
        native_state=state or "",
        state=state,
        occurred_at=at,
        occurred_at_basis="event",
        received_at=at,
        source=MANUAL,
        data={**(data or {}), "actor": actor},
    )
    with transaction.atomic():
        order, history, home = _locked(order.pk)
        if (one.account, one.event_key) in history.by_key:
            return Applied(order.pk, (), "duplicate")
        change = compute_change(order=order, history=history, home=home, now=at, fresh=[one])
        change.source = MANUAL
        change.observations = [row_of(order, one, None)]
        events = apply_projection(order=order, change=change, now=at)
    return Applied(order.pk, events)


def record_status_request(
    *,
    order: Order,
    address_id: int,
    inbound_id: object,
    channel: str,
    account_id: int,
    at: datetime,
) -> OrderEvent:
    """A person asked where the order is; asking once is one event. ``account_id``: who heard it."""
    draft = EventDraft(
        kind="status_requested",
        milestone=f"asked:{inbound_id}",
        part_ref="",
        epoch=0,
        data={"address_id": address_id, "channel": channel, "account_id": account_id},
        held="",
        is_stale=False,
        occurred_at=at,
    )
    with transaction.atomic():
        order, history, home = _locked(order.pk)
        if (draft.part_ref, draft.milestone, draft.epoch) in history.recorded:
            asked = OrderEvent.objects.filter(Q(order=order) | Q(order__same_as=order))
            return asked.get(milestone=draft.milestone, epoch=0, part_ref="")
        change = compute_change(order=order, history=history, home=home, now=at)
        change.source = channel
        change.drafts = [*change.drafts, draft]
        return apply_projection(order=order, change=change, now=at)[-1]


def _locked(order_id: int) -> tuple[Order, History, House]:
    order = uniting.lock_order(order_id)
    home = house(order.restaurant_id)
    return at_home(order, home), load_history(order_id), home
