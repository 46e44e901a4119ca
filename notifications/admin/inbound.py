"""What people wrote back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from consents.console import MineFilter, lines
from notifications.models import InboundMessage
from notifications.words import channel_word
from orders.admin.base import RestaurantPage, local
from orders.admin.calls import link_to_order


@admin.register(InboundMessage)
class InboundMessageAdmin(RestaurantPage):
    owner_path = "account__restaurant"
    question = _("What did people write back, and what did we make of it?")
    question_one = _("What did this person write?")
    empty_hint = _("Nobody wrote back yet. Paste the webhook URL of the account at the vendor.")
    list_display = ("sender", "words", "intent", "outcome_word", "order_link", "when")
    list_filter = ("intent", "channel", ("account", MineFilter))
    list_select_related = ("account__restaurant", "address", "order")
    ordering = ("-received_at",)
    fields = (
        ("sender", "account", "order_link"),
        "text",
        ("intent", "outcome_word"),
        ("received_at", "vendor_id"),
    )
    readonly_fields = ("sender", "order_link", "outcome_word")

    def get_queryset(self, request: HttpRequest) -> QuerySet[InboundMessage]:
        return super().get_queryset(request).defer("account__settings", "address__value")

    @admin.display(description=_("From"))
    def sender(self, row: InboundMessage) -> SafeString:
        return lines(row.address.masked if row.address else _("unknown"), channel_word(row.channel))

    @admin.display(description=_("Words"))
    def words(self, row: InboundMessage) -> str:
        text = row.text or ""
        return text if len(text) <= 60 else f"{text[:59]}…"

    @admin.display(description=_("What we did"), ordering="outcome")
    def outcome_word(self, row: InboundMessage) -> str:
        return row.outcome.replace("_", " ")

    @admin.display(description=_("Order"), ordering="order")
    def order_link(self, row: InboundMessage) -> SafeString | str:
        return link_to_order(row)

    @admin.display(description=_("When"), ordering="received_at")
    def when(self, row: InboundMessage) -> Any:
        return local(row.received_at, row.account.restaurant.timezone)
