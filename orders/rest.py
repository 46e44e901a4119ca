"""Writes of the REST API: a public order update becomes news of the restaurant's REST source."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from integrations import canonical
from integrations.contracts import ordering_key
from integrations.errors import PayloadMalformed
from orders import intake, selectors
from orders.api_problems import Problem, invalid_at
from orders.models import InboundCall, Location, Order, OrderAlias, Restaurant, SourceAccount
from orders.models.source import AccountMode
from orders.states import is_live

SOURCE = "rest"


@dataclass(frozen=True, slots=True)
class Submitted:
    """The order an update ended in, and what of the update could not be used, in words."""

    order_id: int
    warnings: tuple[str, ...] = ()


def rest_account(*, restaurant: Restaurant) -> SourceAccount:
    """The source account REST updates of ``restaurant`` belong to, made when there is none.

    Raises Problem (source-disabled) when a manager switched it off.
    """
    mine = SourceAccount.objects.filter(restaurant=restaurant, source=SOURCE).order_by("pk")
    account = mine.first()
    if account is None:
        with transaction.atomic():
            Restaurant.objects.select_for_update().get(pk=restaurant.pk)
            account = mine.first() or SourceAccount.objects.create(
                restaurant=restaurant,
                source=SOURCE,
                name="REST API",
                mode=AccountMode.LIVE,
                location=_only_location(restaurant),
            )
        selectors.clear_caches()
    if not account.enabled:
        raise Problem("source-disabled", "a manager disabled the restaurant's REST source")
    return account


def id_for_account(*, order: Order, account: SourceAccount) -> str:
    """The id under which ``account`` speaks of ``order``; its public id when it never did.

    Raises Problem when the account gave that very id to another order.
    """
    system = f"account:{account.pk}"
    known = OrderAlias.objects.filter(order=order, system=system).order_by("pk").first()
    if known is not None:
        return known.external_id
    alias = OrderAlias(
        restaurant_id=order.restaurant_id,
        system=system,
        external_id=str(order.public_id),
        order=order,
    )
    OrderAlias.objects.bulk_create([alias], ignore_conflicts=True)
    same_name = OrderAlias.objects.filter(
        restaurant_id=order.restaurant_id, system=system, external_id=alias.external_id
    )
    if same_name.exclude(order=order).exists():
        raise Problem(
            "update-not-applied", "another order was created with this order's id as its own"
        )
    return alias.external_id


@transaction.atomic
def submit_update(
    *,
    account: SourceAccount,
    update: Mapping[str, Any],
    received_at: datetime,
    occurred_at: datetime | None = None,
) -> Submitted:
    """Apply a public order update.

    ``update`` passed its serializer. Updates are ordered by arrival; ``occurred_at`` is for
    display and freshness, and a moment in the future counts as now. Raises Problem, and then
    nothing was written.
    """
    call = _store_call(account=account, update=update, received_at=received_at)
    statement = canonical.Statement(
        event_key=call.event_key,
        ordering_key=ordering_key(received_at),
        occurred_at=min(occurred_at or received_at, received_at),
        occurred_at_basis="event" if occurred_at else "arrival",
    )
    try:
        news = canonical.read_update(canonical.check_update(dict(update), path="body"), statement)
    except PayloadMalformed as error:
        raise Problem("update-not-applied", str(error)) from error
    applied = intake.apply_update(account=account, update=news, call=call, received_at=received_at)
    if applied.order_id is None:
        if applied.cause.startswith("unknown location"):
            raise invalid_at(["location", "id"], applied.cause, "unknown")
        raise Problem("update-not-applied", applied.cause or applied.outcome)
    warnings = tuple(applied.cause.split("; ")) if applied.cause else ()
    return Submitted(applied.order_id, warnings)


def with_origins(order: Order, parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``parts`` of a split, each new one saying what it comes from where only one is possible.

    That is the undivided order, or the single live part that is not listed any more.
    """
    named = [part.ref for part in order.parts.all() if part.kind != "order"]
    live = [part.ref for part in order.parts.all() if is_live(part.state)]
    listed = {part["id"] for part in parts}
    gone = [ref for ref in live if ref not in listed]
    fresh = [part["id"] for part in parts if part["id"] not in named]
    is_told = any(part.get("replaces") for part in parts)
    if len(gone) != 1 or len(fresh) < 2 or is_told:
        return [dict(part) for part in parts]
    return [{**part, "replaces": gone[0]} if part["id"] in fresh else dict(part) for part in parts]


def _store_call(
    *, account: SourceAccount, update: Mapping[str, Any], received_at: datetime
) -> InboundCall:
    """Keep what was said. The event key is new each time: repetitions are told by their key."""
    body = json.dumps(update, ensure_ascii=False, separators=(",", ":")).encode()
    return InboundCall.objects.create(
        account=account,
        event_key=f"rest:{uuid.uuid4()}",
        body=body,
        body_hash=hashlib.sha256(body).hexdigest(),
        received_at=received_at,
    )


def _only_location(restaurant: Restaurant) -> Location | None:
    """The location of a restaurant that has exactly one."""
    found = list(Location.objects.filter(restaurant=restaurant)[:2])
    return found[0] if len(found) == 1 else None
