"""What is still to be written into the shop for our news. Pure.

Reading before writing is what keeps Shopify from telling a guest twice: none of these mutations
knows an idempotency key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from integrations import crm_values, shopify_marks
from integrations.contracts import Message, State
from integrations.providers import shopify_calls as calls
from integrations.providers.shopify_facts import Event, Fulfillment, Part, ShopOrder, is_told

ALREADY = "the shop knows it already"
NO_WORD = "Shopify has no word for this"
#: fulfilment orders that can still be worked on
_OPEN = frozenset({"OPEN", "IN_PROGRESS"})
_DEAD = frozenset({"CANCELLED", "ERROR", "FAILURE"})
_EVENTS: Mapping[str, str] = {
    State.OUT_FOR_DELIVERY: "OUT_FOR_DELIVERY",
    State.DELIVERED: "DELIVERED",
    State.FAILED: "FAILURE",
}


@dataclass(frozen=True, slots=True)
class Deed:
    """What our news means in Shopify: a mutation, and for events their status."""

    mutation: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the manager allows."""

    notify: bool = False
    #: Shopify may be told that an order waits at the counter, although it mails the guest then
    tells_ready: bool = False
    cancels: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One mutation to send, and the fulfilment order or fulfilment it is about."""

    mutation: str
    body: dict[str, Any]
    about: tuple[str, ...] = ()


def deed_of(message: Message, rules: Rules) -> Deed | None:
    """What the news is in Shopify's words; None = it has none, or the manager wants none."""
    if message.event_kind == "order_delayed":
        return Deed("fulfillmentEventCreate", "DELAYED")
    if message.event_kind != "status_changed":
        return None
    news = crm_values.news(message)
    if status := _EVENTS.get(news):
        return Deed("fulfillmentEventCreate", status)
    if news == State.PREPARING:
        return Deed("fulfillmentOrderReportProgress")
    is_delivery = message.order.get("is_delivery") is True
    if news == State.READY and rules.tells_ready and not is_delivery:
        return Deed("fulfillmentOrderLineItemsPreparedForPickup")
    if news == State.PICKED_UP:
        return Deed("fulfillmentCreate")
    if news == State.CANCELLED and rules.cancels:
        return Deed("orderCancel")
    return None


def blank_step(deed: Deed, message: Message, rules: Rules) -> Step:
    """The last mutation of ``deed`` before the shop was asked: ids nobody knows yet end in 0."""
    part = Part(calls.gid("FulfillmentOrder", ""), "OPEN", "PICK_UP")
    left = Fulfillment(calls.gid("Fulfillment", ""))
    match deed.mutation:
        case "fulfillmentEventCreate":
            return _event(left, deed, message)
        case "fulfillmentOrderReportProgress":
            return _progress(part, message)
        case "fulfillmentCreate":
            return _create(part, message, rules, is_carried=False)
        case "orderCancel":
            return _cancel(message, rules)
    return _prepared([part])


def next_step(order: ShopOrder, deed: Deed, message: Message, rules: Rules) -> Step | str:
    """The next mutation to write, or why there is none (any more)."""
    if order.is_cancelled:
        return "the order is cancelled in the shop"
    return next(_steps(order, deed, message, rules), ALREADY)


def _steps(order: ShopOrder, deed: Deed, message: Message, rules: Rules) -> Iterator[Step | str]:
    still = [part for part in order.parts if part.status in _OPEN]
    match deed.mutation:
        case "orderCancel":
            yield _cancel(message, rules)
        case "fulfillmentOrderReportProgress":
            yield from (_progress(part, message) for part in still if part.status == "OPEN")
        case "fulfillmentOrderLineItemsPreparedForPickup":
            if waiting := [part for part in still if part.method == "PICK_UP"]:
                yield _prepared(waiting)
        case "fulfillmentCreate":
            yield from (_create(part, message, rules, is_carried=False) for part in still)
        case _:
            yield from _event_steps(order, still, deed, message, rules)


def _event_steps(
    order: ShopOrder, still: list[Part], deed: Deed, message: Message, rules: Rules
) -> Iterator[Step | str]:
    """No event can be written before a fulfilment exists, nor where another carrier speaks."""
    if deed.status in ("OUT_FOR_DELIVERY", "DELIVERED"):
        leaving = [p for p in still if p.method != "PICK_UP" or deed.status == "DELIVERED"]
        yield from (_create(part, message, rules) for part in leaving)
    live = [one for one in order.fulfillments if one.status not in _DEAD]
    ours = [one for one in live if not _is_foreign(one, message)]
    for one in ours:
        if is_told(one, deed.status, crm_values.occurred_at(message)):
            continue
        link = calls.courier_url(message)
        if not one.numbers or (link and link not in one.urls):
            yield _tracking(one, message, rules)
        yield _event(one, deed, message)
    if not live:
        yield "nothing has left the shop yet"
    elif not ours:
        yield "another carrier tells about it"


def _is_foreign(fulfillment: Fulfillment, message: Message) -> bool:
    """Whether somebody else tracks it: nothing of ours belongs there."""
    own = shopify_marks.tracking_number(message.source_order_id)
    return fulfillment.numbers != (own,) and bool(fulfillment.numbers or fulfillment.urls)


def after(order: ShopOrder, step: Step, made: str, deed: Deed, message: Message) -> ShopOrder:
    """The order once ``step`` was taken and made ``made``. Each step leaves less to do."""
    own = shopify_marks.tracking_number(message.source_order_id)
    link = tuple(filter(None, [calls.courier_url(message)]))
    if step.mutation == "orderCancel":
        return replace(order, is_cancelled=True)
    if step.mutation == "fulfillmentTrackingInfoUpdate":
        return _changed(order, step, lambda one: replace(one, numbers=(own,), urls=link))
    if step.mutation == "fulfillmentEventCreate":
        at = crm_values.occurred_at(message) or datetime.now(UTC)
        said = Event(deed.status, at)
        return _changed(order, step, lambda one: replace(one, events=(*one.events, said)))
    status = "IN_PROGRESS" if step.mutation == "fulfillmentOrderReportProgress" else "CLOSED"
    parts = tuple(
        replace(part, status=status) if part.id in step.about else part for part in order.parts
    )
    if step.mutation != "fulfillmentCreate":
        return replace(order, parts=parts)
    link = tuple(filter(None, [calls.courier_url(message)]))
    left = Fulfillment(made, numbers=(own,), urls=link)
    return replace(order, parts=parts, fulfillments=(*order.fulfillments, left))


def _changed(
    order: ShopOrder, step: Step, change: Callable[[Fulfillment], Fulfillment]
) -> ShopOrder:
    changed = tuple(change(one) if one.id in step.about else one for one in order.fulfillments)
    return replace(order, fulfillments=changed)


def _progress(part: Part, message: Message) -> Step:
    body = calls.progress(part.id, message)
    return Step("fulfillmentOrderReportProgress", body, (part.id,))


def _prepared(parts: list[Part]) -> Step:
    ids = tuple(part.id for part in parts)
    return Step("fulfillmentOrderLineItemsPreparedForPickup", calls.prepared(ids), ids)


def _create(part: Part, message: Message, rules: Rules, *, is_carried: bool = True) -> Step:
    body = calls.create(part.id, message, notify=rules.notify, is_carried=is_carried)
    return Step("fulfillmentCreate", body, (part.id,))


def _tracking(one: Fulfillment, message: Message, rules: Rules) -> Step:
    body = calls.tracking(one.id, message, notify=rules.notify)
    return Step("fulfillmentTrackingInfoUpdate", body, (one.id,))


def _event(one: Fulfillment, deed: Deed, message: Message) -> Step:
    return Step("fulfillmentEventCreate", calls.event(one.id, deed.status, message), (one.id,))


def _cancel(message: Message, rules: Rules) -> Step:
    return Step("orderCancel", calls.cancel(message, notify=rules.notify))
