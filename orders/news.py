"""One update on its way in: its clocks judged, its observations as rows, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from integrations import contracts
from integrations.contracts import OrderUpdate
from orders.clocks import judge_all
from orders.models import InboundCall, Observation, Order, OrderEvent, SourceAccount
from orders.selectors import House, fresh_house, house
from orders.statements import update_rows

#: longest text of InboundCall.cause
CAUSE_CHARS = 500


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one update. ``cause`` says in words what a manager should know."""

    order_id: int | None = None
    events: Sequence[OrderEvent] = ()
    outcome: str = "applied"  # applied | duplicate | parked | quarantined
    cause: str = ""

    def settlement(self, at: datetime) -> dict[str, Any]:
        """The columns of a call that ended like this."""
        return {
            "state": "applied" if self.outcome == "duplicate" else self.outcome,
            "cause": self.cause[:CAUSE_CHARS],
            "order_id": self.order_id,
            "settled_at": at,
        }


@dataclass(slots=True)
class News:
    """One update on its way in."""

    account: SourceAccount
    update: OrderUpdate
    call: InboundCall | None
    #: now; the arrival is stamped on the observations
    at: datetime
    home: House
    observations: tuple[contracts.Observation, ...]
    is_settling: bool
    #: none of it may be told: the clocks it came with are nonsense
    is_mute: bool
    problems: list[str] = field(default_factory=list)

    @staticmethod
    def judge(
        account: SourceAccount,
        update: OrderUpdate,
        call: InboundCall | None,
        received_at: datetime,
        now: datetime,
        *,
        is_settling: bool = False,
    ) -> News:
        home = house(account.restaurant_id)
        if str(account.pk) not in home.priorities:
            home = fresh_house(account.restaurant_id)
        stamped = update.with_account(str(account.pk), account.source, received_at)
        judged = judge_all(stamped.observations, received_at)
        problems = [word for one in judged for word in one.problems]
        if update.unknown_states:
            problems.insert(0, f"unknown state: {', '.join(update.unknown_states)}")
        return News(
            account=account,
            update=update,
            call=call,
            at=now,
            home=home,
            observations=tuple(one.observation for one in judged),
            is_settling=is_settling and call is not None,
            is_mute=bool(judged) and all(one.is_implausible for one in judged),
            problems=problems,
        )

    def verdict(self, order_id: int | None, outcome: str) -> Applied:
        if self.update.unknown_states:
            outcome = "quarantined"
        cause = "; ".join(dict.fromkeys(self.problems))[:CAUSE_CHARS]
        return Applied(order_id, (), outcome, cause)

    def end(self, applied: Applied) -> Applied:
        """Mark the call in a statement of its own, for updates that move no order."""
        if self.is_settling and self.call is not None:
            update_rows((self.call, applied.settlement(self.at)))
        return applied


def at_home(order: Order, home: House) -> Order:
    """Give ``order`` the restaurant and location we hold anyway, so that nobody asks for them."""
    order.restaurant = home.restaurant
    if (location := home.locations.get(order.location_id or 0)) is not None:
        order.location = location
    return order


def row_of(order: Order, one: contracts.Observation, news: News | None) -> Observation:
    """``one`` as a row; it is stamped with its arrival and belongs to an account or a person."""
    assert one.received_at is not None
    is_mine = news is not None and one.account == str(news.account.pk)
    return Observation(
        order=order,
        account_id=int(one.account) if one.account else None,
        call=news.call if news is not None and is_mine else None,
        event_key=one.event_key[:400],
        source=one.source,
        track=one.track,
        scope=one.scope,
        ref=one.ref,
        ordering_class=one.ordering_class,
        ordering_key=one.ordering_key,
        kind=one.kind,
        native_state=one.native_state[:120],
        state=one.state,
        snapshot_parts=None if one.snapshot_parts is None else list(one.snapshot_parts),
        occurred_at=one.occurred_at,
        occurred_at_basis=one.occurred_at_basis,
        received_at=one.received_at,
        data=dict(one.data),
    )


def sum_up(ends: Sequence[Applied], *, is_waiting: bool, at: datetime) -> Mapping[str, Any]:
    """One end for a call that brought several updates: the one that needs a manager most."""
    outcomes = {end.outcome for end in ends}
    otherwise = "ignored" if outcomes == {"ignored"} else "applied"
    outcome = next((one for one in ("quarantined", "parked") if one in outcomes), otherwise)
    causes = "; ".join(dict.fromkeys(end.cause for end in ends if end.cause))
    orders = {end.order_id for end in ends if end.order_id is not None}
    whole = Applied(next(iter(orders)) if len(orders) == 1 else None, (), outcome, causes)
    settled = whole.settlement(at)
    if is_waiting and outcome != "quarantined":
        settled |= {"state": "waiting", "settled_at": None}
    return settled
