"""Who ordered: the contact a source passes on becomes a subject in consents, never more.

What was resolved last is remembered as a keyed hash, so that a source repeating the same contact
with every event costs nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from consents import services
from consents.encryption import keyed_hash
from integrations.contracts import Customer, OrderUpdate
from orders.models import Order, SourceAccount
from orders.selectors import House
from orders.statements import update_rows

#: member of Order.detail: whose contact the order has
MARK = "contact"
DIRECT = "direct"


def settle_contact(
    order: Order, update: OrderUpdate, *, account: SourceAccount, home: House, at: datetime
) -> tuple[dict[str, Any], list[str]]:
    """(columns of ``order`` to write, problems in words without personal data).

    Runs inside the transaction that holds the order. A contact that is not direct gives the
    order a name and nobody to message.
    """
    customer = update.customer
    if customer is None:
        return {}, []
    mark = _mark(customer, account, home)
    if not _is_news(order, mark, is_courier=update.courier_only):
        return {}, []
    found = services.resolve_customer(
        sender_group_id=home.restaurant.sender_group_id,
        customer=customer,
        region=home.restaurant.country,
        jurisdiction=home.restaurant.country,
        source=account.source,
        idempotency_base=f"order:{order.public_id}",
        at=at,
        contact_consent=account.settings.get("contact_consent") or services.GIVEN_WITH_ORDER,
        subject_id=order.subject_id,
    )
    # a guest may own several numbers: this order speaks to the one it was placed with
    mark["addresses"] = found.addresses
    columns: dict[str, Any] = {
        "contact_kind": mark["kind"],
        "detail": {**order.detail, MARK: mark},
    }
    if found.subject_id is not None:
        columns["subject_id"] = found.subject_id
    return columns, [f"contact {problem}" for problem in found.problems]


def settle_chosen(order: Order, subject_id: UUID) -> None:
    """The guest (``order`` is locked) named a chat or browser: now there is somebody to tell.

    A contact that a marketplace relays or masks stays what it is: it must not be written to.
    """
    values: dict[str, Any] = {}
    if order.subject_id is None:
        values["subject_id"] = subject_id
    if order.contact_kind in ("", "none"):
        values["contact_kind"] = DIRECT
    if values:
        Order.objects.filter(pk=order.pk).update(**values)


def take_over(order: Order, other: Order) -> None:
    """Give ``order`` the guest of ``other``, which proved to be the same, if it counts for more."""
    mark = other.detail.get(MARK)
    if isinstance(mark, dict) and _is_news(order, mark, is_courier=False):
        columns = {
            "subject_id": other.subject_id or order.subject_id,
            "contact_kind": other.contact_kind,
            "detail": {**order.detail, MARK: mark},
        }
        update_rows((order, columns))


def _mark(customer: Customer, account: SourceAccount, home: House) -> dict[str, Any]:
    kind = customer.contact_kind
    if kind == DIRECT and not (customer.phone or customer.email):
        kind = "none"
    return {
        "account": account.pk,
        "kind": kind,
        "rank": home.priorities.get(str(account.pk), {}).get("commercial", 0),
        "hash": keyed_hash(json.dumps(asdict(customer), sort_keys=True, default=dict)),
    }


def _is_news(order: Order, mark: dict[str, Any], *, is_courier: bool) -> bool:
    """Whose word counts: a direct contact before others, then the more commercial source."""
    known = order.detail.get(MARK)
    if not isinstance(known, dict):
        return True
    if known.get("erased"):
        return False  # whoever it was asked to be forgotten
    if known["kind"] != mark["kind"] and DIRECT in (known["kind"], mark["kind"]):
        return bool(mark["kind"] == DIRECT)
    if known["account"] == mark["account"]:
        return bool(known["hash"] != mark["hash"])
    return not is_courier and bool(mark["rank"] > known["rank"])
