"""Orders that are late and of which one account has said nothing since: worth asking about.

For vendors that list nothing but answer for one order or delivery: a courier past its estimate,
an order past its promise.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import (
    CharField,
    DateTimeField,
    Exists,
    OuterRef,
    QuerySet,
    Value,
)
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, Concat

from integrations.contracts import FollowUp, Source
from orders.models import Observation, OrderAlias, SourceAccount

#: a minute or two late is no silence
LATE = timedelta(minutes=2)
#: an order that is late for longer was forgotten by everybody
FORGOTTEN = timedelta(hours=3)
#: an account that spoke of the order within this time is not silent
SPOKEN = timedelta(minutes=5)
AT_ONCE = 20


def account_name(pk: Combinable | OuterRef) -> Concat:
    """The name of an account in ``OrderAlias.system``."""
    return Concat(Value("account:"), Cast(pk, CharField()))


def silent_orders(now: datetime) -> QuerySet[OrderAlias]:
    """Names of open orders that are late, by how late they are; of any account."""
    stated = Cast(KeyTextTransform("estimate_at", "order__watch"), DateTimeField())
    expected = Coalesce(stated, "order__est_delivery_at", "order__told_at", "order__promised_at")
    return (
        OrderAlias.objects.filter(order__is_open=True)
        .annotate(expected_at=expected)
        .filter(expected_at__lt=now - LATE, expected_at__gt=now - FORGOTTEN)
        .order_by("expected_at", "pk")
    )


def has_silent_orders(now: datetime) -> Exists:
    """For a query of accounts: whether one of its orders is worth asking about."""
    rows = silent_orders(now).filter(
        restaurant=OuterRef("restaurant"), system=account_name(OuterRef("pk"))
    )
    return Exists(rows)


def questions(account: SourceAccount, source: Source, now: datetime) -> list[FollowUp]:
    """What to ask ``source`` about its late orders, the latest first."""
    spoke = Observation.objects.filter(
        order=OuterRef("order"), account=account, received_at__gt=now - SPOKEN
    )
    rows = silent_orders(now).filter(
        ~Exists(spoke), restaurant=account.restaurant_id, system=f"account:{account.pk}"
    )
    names: Iterable[str] = rows.values_list("external_id", flat=True)[:AT_ONCE]
    asked = (source.check_up(name, now) for name in names)
    return [one for one in asked if one is not None]
