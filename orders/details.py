"""Everything an order shows besides its state: fields merged by last writer and owner. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from integrations.contracts import Observation
from orders.states import CALLED_OFF
from orders.streams import BEGINNING, STAFF_SOURCE, field_order

_NESTED = frozenset({"times", "fulfillment", "flags"})
#: only times can be taken back; for everything else null says nothing
_CLEARABLE = frozenset(
    {"promised_at", "promised_until", "est_ready_at", "est_delivery_at", "placed_at"}
)


class Stated(NamedTuple):
    """A value and who said it."""

    value: Any
    by: Observation


Fields = dict[str, Stated]


def merge_fields(said: Iterable[Observation]) -> Fields:
    """Last writer per field of one stream. Absent never clears, null clears only times."""
    fields: Fields = {}
    for one in sorted((o for o in said if o.data), key=field_order):
        for name, value in one.data.items():
            if name in _NESTED and isinstance(value, Mapping):
                for inner, inner_value in value.items():
                    if inner_value is not None or inner in _CLEARABLE:
                        fields[inner] = Stated(inner_value, one)
            elif value is not None or name in _CLEARABLE:
                fields[_kept_as(name, one.state)] = Stated(value, one)
    return fields


def _kept_as(name: str, state: str | None) -> str:
    """Why an order ended is kept by how it ended: it explains nothing once that no longer holds."""
    return f"{name}:{state}" if name == "reason" and state in CALLED_OFF else name


def reason_for(states: Iterable[str], owners: Sequence[Fields]) -> dict[str, Any]:
    """Why the order is in one of ``states``, the first that was explained; else what was said."""
    for name in (*(f"reason:{state}" for state in states), "reason"):
        if (stated := first_stated(name, owners)) is not None:
            return mapping(stated)
    return {}


def who_stated(name: str, owners: Sequence[Fields]) -> Stated | None:
    """What the first owner that ever stated ``name`` says.

    Staff, who stand last, come first when they spoke after that value had arrived.
    """
    chosen: Stated | None = None
    for fields in owners:
        stated = fields.get(name)
        if stated is None:
            continue
        if chosen is None or _is_newer_staff(stated.by, chosen.by):
            chosen = stated
    return chosen


def first_stated(name: str, owners: Sequence[Fields]) -> Any:
    """The value ``who_stated`` finds; None = nobody ever did."""
    chosen = who_stated(name, owners)
    return chosen.value if chosen else None


def origin(name: str, owners: Sequence[Fields]) -> str:
    """The account whose value it is; "" = nobody's or a manager's."""
    chosen = who_stated(name, owners)
    return chosen.by.account if chosen and chosen.by.source != STAFF_SOURCE else ""


def _is_newer_staff(one: Observation, other: Observation) -> bool:
    if one.source != STAFF_SOURCE or other.source == STAFF_SOURCE:
        return False
    return (one.received_at or BEGINNING) >= (other.received_at or BEGINNING)


def instant(value: object) -> datetime | None:
    """An aware datetime from ISO 8601 text (or a datetime); None for anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def quantity(value: object) -> Decimal:
    """A positive quantity; anything unreadable counts as one."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return Decimal(1)
    return number if number.is_finite() and number > 0 else Decimal(1)


def words(value: object) -> tuple[str, ...]:
    """A tuple of texts from a JSON list; empty for anything else."""
    return tuple(str(v) for v in value) if isinstance(value, list | tuple) else ()


def mapping(value: object) -> dict[str, Any]:
    """A JSON object; empty for anything else."""
    return dict(value) if isinstance(value, Mapping) else {}
