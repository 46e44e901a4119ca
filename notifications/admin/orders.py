"""The page of an order: from the vendor's bytes to the read receipt.

It stands here and not in orders.admin because it also shows what was told.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from consents.console import MineFilter, Panel, lines, tag
from integrations.contracts import State
from notifications.history import history_of
from notifications.timeline import answers, rows
from orders import new_time, phrases
from orders.admin.base import RestaurantPage, local
from orders.board import actions
from orders.intake import add_manual_update
from orders.models import Order

_TONES = {"ready": "good", "picked_up": "good", "delivered": "good", "failed": "bad",
          "cancelled": "bad"}  # fmt: skip


@admin.register(Order)
class OrderAdmin(RestaurantPage):
    question = _("How do our orders stand?")
    empty_hint = _("No orders yet. Connect a source, or send one through the API.")
    list_display = ("number", "restaurant", "standing", "how", "due", "placed")
    list_filter = ("is_open", "state", "fulfillment", "created_at", ("restaurant", MineFilter))
    list_select_related = ("restaurant", "location")
    search_fields = ("display", "aliases__external_id")
    search_help_text = _("An order number, ours or the vendor's")
    ordering = ("-created_at",)
    fields = (
        ("restaurant", "location"),
        ("fulfillment", "is_scheduled", "contact_kind"),
        ("placed_at", "promised_at"),
        ("est_ready_at", "est_delivery_at"),
        ("baseline_at", "told_at", "delays_told"),
    )

    def heading_one(self, request: HttpRequest, obj: Order) -> Any:
        word = phrases.state_word(obj.state, obj.fulfillment)
        return _now("What happened with %(order)s (%(state)s)?") % {"order": obj, "state": word}

    def panels(self, request: HttpRequest, obj: Order) -> list[Panel]:
        history = history_of(obj)
        context = {
            "order": obj,
            "answers": answers(history),
            "rows": rows(history),
            "parts": [
                {"name": str(part), "state": phrases.state_word(part.state), "ref": part.ref}
                for part in obj.parts.all()
            ],
            "items": list(obj.items.all()),
            "actions": actions(obj) if obj.is_open else [],
            "action_url": self.button_url("say"),
            "offers": new_time.OFFERS if new_time.may_have_time(obj) else (),
            "time_url": self.button_url("time"),
        }
        return [Panel("admin/console/order.html", context)]

    def panels_below(self, request: HttpRequest, obj: Order) -> list[Panel]:
        url = reverse("console-why", args=["order", obj.pk])
        return [Panel("admin/console/why_link.html", {"url": url})]

    def buttons(self) -> dict[str, Any]:
        return {"say": self.say, "time": self.give_time}

    def give_time(self, request: HttpRequest, obj: Order) -> None:
        """A button: how many minutes it still takes."""
        minutes = new_time.offered(request.POST.get("in_minutes", ""))
        if minutes is None or not new_time.may_have_time(obj):
            raise Http404
        actor, now = request.user.get_username(), timezone.now()
        at = new_time.give_time(order=obj, minutes=minutes, actor=actor, now=now)
        messages.success(request, new_time.in_words(obj, at, now))

    def say(self, request: HttpRequest, obj: Order) -> None:
        """A button: one manual observation, like any other source would make."""
        state = request.POST.get("state", "")
        if state not in {action.state for action in actions(obj)} or not obj.is_open:
            raise Http404
        add_manual_update(
            order=obj, state=State(state), actor=request.user.get_username(), at=timezone.now()
        )
        word = phrases.state_word(state, obj.fulfillment).lower()
        messages.success(request, _now("%(order)s: %(state)s.") % {"order": obj, "state": word})

    @admin.display(description=_("Order"), ordering="display")
    def number(self, row: Order) -> SafeString:
        return lines(row, row.location.name if row.location else "")

    @admin.display(description=_("Standing"), ordering="state")
    def standing(self, row: Order) -> SafeString:
        made = tag(phrases.state_word(row.state, row.fulfillment), _TONES.get(row.state, "quiet"))
        flags = ", ".join(flag.replace("_", " ") for flag in row.flags)
        return lines(made, tag(flags, "warn")) if flags else lines(made)

    @admin.display(description=_("How"), ordering="fulfillment")
    def how(self, row: Order) -> str:
        return phrases.fulfillment_word(row.fulfillment)

    @admin.display(description=_("Due"))
    def due(self, row: Order) -> Any:
        at = row.est_delivery_at or row.est_ready_at or row.promised_at
        return local(at, row.restaurant.timezone) if row.is_open else ""

    @admin.display(description=_("Placed"), ordering="created_at")
    def placed(self, row: Order) -> Any:
        return local(row.placed_at or row.created_at, row.restaurant.timezone)
