"""Messages on their way: what was sent, what did not arrive, and sending it again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from consents.console import MineFilter, Panel, lines, manages_anything, tag
from notifications import words
from notifications.admin.notifications import delivery_facts
from notifications.models import Attempt, Delivery, DeliveryState, Receipt
from notifications.services import replay_deliveries
from orders.admin.base import RestaurantPage, local

#: what a person has to decide about
DEAD = (DeliveryState.FAILED, DeliveryState.UNKNOWN)


class StandingFilter(admin.SimpleListFilter):
    """Dead letters, or by state."""

    title = _("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        states = [(state.value, words.delivery_word(state)) for state in DeliveryState]
        return [("dead", _("did not arrive")), *states]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "dead":
            return queryset.filter(state__in=DEAD)
        return queryset.filter(state=self.value()) if self.value() else queryset


@admin.register(Delivery)
class DeliveryAdmin(RestaurantPage):
    owner_path = "notification__restaurant"
    question_one = _("Did this message arrive?")
    list_display = ("whom", "what", "by_account", "standing", "why", "tries", "when")
    list_filter = (StandingFilter, "channel", "created_at", ("account", MineFilter))
    list_select_related = (
        "account",
        "address",
        "notification__restaurant",
        "notification__order",
        "notification__event",
    )
    search_fields = ("notification__order__display", "address__masked")
    search_help_text = _("The number of an order or the end of an address")
    ordering = ("-created_at", "-pk")
    fields = (
        ("whom", "what", "by_account"),
        ("due_at", "expires_at", "settled_at"),
        ("consent_checked_at", "consent_basis"),
        ("overtaken_by_withdrawal", "resent_by"),
        "vendor_id",
    )
    readonly_fields = ("whom", "what", "by_account")
    actions = ("send_again",)

    def heading(self, request: HttpRequest) -> Any:
        if request.GET.get("standing") == "dead":
            return _("Which messages did not arrive?")
        return _("What was sent, and did it arrive?")

    @property
    def empty_hint(self) -> Any:
        return _("No messages here. If you looked for dead letters: all is well.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return super().get_queryset(request).defer("account__settings", "address__value")

    def panels(self, request: HttpRequest, obj: Delivery) -> list[Panel]:
        zone = obj.notification.restaurant.timezone
        context = {"rows": [], "deliveries": [delivery_facts(obj, zone)], "is_one": True}
        panels = [Panel("admin/console/trace.html", context)]
        if obj.state in (*DEAD, DeliveryState.EXPIRED) and not obj.overtaken_by_withdrawal:
            again = {"action": self.button_url("again"), "delivery": obj}
            panels.append(Panel("admin/console/send_again.html", again))
        return panels

    # -- sending again -------------------------------------------------------------------------

    def buttons(self) -> dict[str, Any]:
        return {"again": self._again}

    def _again(self, request: HttpRequest, obj: Delivery) -> None:
        self._replay(request, [obj.pk])

    @admin.action(description=_("Send again"), permissions=["send_again"])
    def send_again(self, request: HttpRequest, rows: QuerySet[Delivery]) -> None:
        """Queue the chosen dead letters once more; consent is asked afresh."""
        self._replay(request, list(rows.values_list("pk", flat=True)))

    def _replay(self, request: HttpRequest, ids: list[int]) -> None:
        queued = replay_deliveries(delivery_ids=ids, actor=request.user.get_username())
        text = ngettext("%(n)d message leaves again.", "%(n)d messages leave again.", queued)
        said = text % {"n": queued}
        if queued == len(ids):
            messages.success(request, said)
        else:
            rest = _now("%(n)d were left alone: sent already, or the guest said no since.")
            messages.warning(request, f"{said} {rest % {'n': len(ids) - queued}}")

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        return manages_anything(request.user)

    # -- columns -------------------------------------------------------------------------------

    @admin.display(description=_("To"))
    def whom(self, row: Delivery) -> SafeString:
        where = row.address.masked if row.address else row.account.name
        return lines(where, words.channel_word(row.channel))

    @admin.display(description=_("News"))
    def what(self, row: Delivery) -> SafeString:
        note = row.notification
        said = words.event_words(note.kind, note.milestone, note.event.data if note.event else {})
        return lines(said, note.order or "")

    @admin.display(description=_("By"), ordering="account")
    def by_account(self, row: Delivery) -> str:
        return row.account.name

    @admin.display(description=_("Standing"), ordering="state")
    def standing(self, row: Delivery) -> SafeString:
        return tag(words.delivery_word(row.state), words.delivery_tone(row.state))

    @admin.display(description=_("Why"))
    def why(self, row: Delivery) -> str:
        return words.reason_word(row.reason.partition(":")[0]) if row.reason else ""

    @admin.display(description=_("When"), ordering="created_at")
    def when(self, row: Delivery) -> Any:
        return local(row.created_at, row.notification.restaurant.timezone)


@admin.register(Attempt)
class AttemptAdmin(RestaurantPage):
    owner_path = "account__restaurant"
    question = _("What did the vendors answer?")
    question_one = _("What happened in this try?")
    empty_hint = _("The first message will add a line.")
    list_display = ("whom", "number", "said", "http_status", "vendor_code", "duration_ms", "when")
    list_filter = ("outcome", ("account", MineFilter))
    list_select_related = ("account__restaurant", "delivery__address")
    search_fields = ("vendor_id", "vendor_code")
    ordering = ("-started_at",)
    fields = (
        ("account", "delivery", "number"),
        ("started_at", "finished_at", "duration_ms"),
        ("outcome", "http_status", "vendor_code"),
        ("vendor_id", "segments"),
        "detail",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        rows = super().get_queryset(request)
        return rows.defer("account__settings", "delivery__address__value")

    @admin.display(description=_("To"))
    def whom(self, row: Attempt) -> SafeString:
        address = row.delivery.address
        return lines(address.masked if address else row.account.name, row.account.name)

    @admin.display(description=_("Answer"), ordering="outcome")
    def said(self, row: Attempt) -> SafeString:
        if not row.outcome:
            return tag(_("in flight"), "quiet")
        is_good = row.outcome == "accepted"
        text = _("accepted") if is_good else words.reason_word(row.outcome)
        return tag(text, "good" if is_good else "bad")

    @admin.display(description=_("When"), ordering="started_at")
    def when(self, row: Attempt) -> Any:
        return local(row.started_at, row.account.restaurant.timezone)


@admin.register(Receipt)
class ReceiptAdmin(RestaurantPage):
    owner_path = "account__restaurant"
    question = _("What did the vendors report later?")
    question_one = _("What did the vendor report?")
    empty_hint = _("No receipts yet. Paste the webhook URL of the account at the vendor.")
    list_display = ("by_account", "said", "matched", "vendor_code", "when")
    list_filter = ("kind", ("account", MineFilter))
    list_select_related = ("account__restaurant",)
    search_fields = ("vendor_id", "event_id")
    ordering = ("-received_at",)
    fields = (
        ("account", "delivery", "kind"),
        ("vendor_code", "error"),
        ("vendor_time", "received_at"),
        ("vendor_id", "event_id", "attempt_ref"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Receipt]:
        return super().get_queryset(request).defer("account__settings")

    @admin.display(description=_("Account"), ordering="account")
    def by_account(self, row: Receipt) -> str:
        return row.account.name

    @admin.display(description=_("Says"), ordering="kind")
    def said(self, row: Receipt) -> SafeString:
        good = row.kind in ("delivered", "read", "clicked")
        return tag(row.kind, "good" if good else "quiet" if row.kind == "sent" else "bad")

    @admin.display(description=_("Message"))
    def matched(self, row: Receipt) -> SafeString:
        return tag(_("found"), "quiet") if row.delivery_id else tag(_("not found yet"), "warn")

    @admin.display(description=_("When"), ordering="received_at")
    def when(self, row: Receipt) -> Any:
        return local(row.received_at, row.account.restaurant.timezone)
