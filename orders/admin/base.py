"""Pages whose rows belong to a restaurant, and times as its clock shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from consents.console import ConsoleAdmin
from orders import phrases
from orders.models import Restaurant


class RestaurantPage(ConsoleAdmin):
    """``owner_path`` leads to the restaurant ("" = the row is one)."""

    owner_path: ClassVar[str | None] = "restaurant"

    def owners(self, user: Any) -> QuerySet[Restaurant]:
        return Restaurant.objects.filter(members__user=user)


def local(at: datetime | None, zone: str) -> SafeString | str:
    """When, on the restaurant's clock, the exact moment as its tooltip; "" for None."""
    if at is None:
        return ""
    tz = phrases.zone(zone)
    exact = at.astimezone(tz)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.isoformat(),
        f"{exact:%Y-%m-%d %H:%M:%S %Z}",
        phrases.clock(at, tz, timezone.now()),
    )
