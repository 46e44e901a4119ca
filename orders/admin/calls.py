"""What sources sent: the calls, and those nobody could read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from consents.console import Button, MineFilter, Panel, lines, manages_anything, tag
from orders import status_maps
from orders.admin.base import RestaurantPage, local
from orders.admin.source_panels import words_panel
from orders.admin.words import CALL_STATES, call_standing, said_again
from orders.masked_calls import masked_body, masked_headers
from orders.models import InboundCall, Observation, OrderEvent, SourceAccount, UnknownWord
from orders.status_maps import STUCK


class StandingFilter(admin.SimpleListFilter):
    """Calls that need somebody, or by state."""

    title = _("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("stuck", _("could not be read")), *((k, w) for k, (w, _t) in CALL_STATES.items())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "stuck":
            return queryset.filter(state__in=STUCK)
        return queryset.filter(state=self.value()) if self.value() in CALL_STATES else queryset


@admin.register(InboundCall)
class InboundCallAdmin(RestaurantPage):
    owner_path = "account__restaurant"
    question_one = _("What did the source say, and what became of it?")
    empty_hint = _("No calls here. When a source calls and we cannot read it, it waits here.")
    list_display = ("who", "standing", "cause", "order_link", "when")
    list_filter = (StandingFilter, ("account", MineFilter))
    list_select_related = ("account__restaurant", "order")
    search_fields = ("event_key", "cause")
    ordering = ("-received_at",)
    fields = (
        ("account_link", "order_link"),
        "event_key",
        ("received_at", "settled_at"),
        "conflicting_bodies",
    )
    readonly_fields = ("account_link", "order_link")
    actions = ("read_again",)
    list_before_template = "admin/console/call_list_top.html"

    def heading(self, request: HttpRequest) -> Any:
        if request.GET.get("standing") == "stuck":
            return _("Which calls could we not read, and why?")
        return _("What did the sources send?")

    def get_queryset(self, request: HttpRequest) -> QuerySet[InboundCall]:
        # the raw call holds people's data: lists need none of it, and a page shows its shape only
        return super().get_queryset(request).defer("body", "headers", "account__settings")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = dict(extra_context or {})
        if request.GET.get("standing") == "stuck":
            rows = UnknownWord.objects.filter(account__in=self._accounts(request))
            if chosen := request.GET.get("account__id__exact", ""):
                rows = rows.filter(account_id=int(chosen)) if chosen.isdecimal() else rows.none()
            panel = words_panel(rows, request, names_accounts=True)
            extra["unknown_words"] = panel.context if panel else None
        return super().changelist_view(request, extra)

    def _accounts(self, request: HttpRequest) -> QuerySet[Any]:
        return self.visible_related(SourceAccount, request)

    def panels(self, request: HttpRequest, obj: InboundCall) -> list[Panel]:
        context = {
            "call": obj,
            "standing": call_standing(obj.state),
            "cause": obj.cause,
            "is_stuck": obj.state in STUCK,
            "action": self.button_url("again"),
            **_cure(obj),
        }
        found = [Panel("admin/console/call_top.html", context)]
        if obj.state in STUCK and "unknown " in obj.cause:
            rows = UnknownWord.objects.filter(account=obj.account_id)
            if words := words_panel(rows, request, names_accounts=False):
                found.append(words)
        return found

    def panels_below(self, request: HttpRequest, obj: InboundCall) -> list[Panel]:
        body = bytes(obj.body)
        context = {
            "body": masked_body(body),
            "headers": masked_headers(obj.headers),
            "is_open": obj.state in STUCK,
        }
        return [Panel("admin/console/raw_call.html", context)]

    # -- reading again -------------------------------------------------------------------------

    def buttons(self) -> dict[str, Button]:
        return {"again": self._again}

    def _again(self, request: HttpRequest, obj: InboundCall) -> None:
        self.read_again(request, InboundCall.objects.filter(pk=obj.pk))

    @admin.action(description=_("Read again"), permissions=["read_again"])
    def read_again(self, request: HttpRequest, rows: QuerySet[InboundCall]) -> None:
        """Parse and apply the chosen stuck calls once more."""
        # the page leaves the raw bytes out; reading needs them
        calls = InboundCall.objects.filter(pk__in=rows.values("pk"), state__in=STUCK)
        done = status_maps.read_again(calls, now=timezone.now())
        if not done.tried:
            messages.info(request, _now("None of these needs to be read again."))
            return
        messages.add_message(request, *said_again(done))

    def has_read_again_permission(self, request: HttpRequest) -> bool:
        return manages_anything(request.user)

    # -- columns -------------------------------------------------------------------------------

    @admin.display(description=_("Source"), ordering="account")
    def who(self, row: InboundCall) -> SafeString:
        return lines(row.account.name, row.event_key[:40])

    @admin.display(description=_("Standing"), ordering="state")
    def standing(self, row: InboundCall) -> SafeString:
        return call_standing(row.state)

    @admin.display(description=_("Source"))
    def account_link(self, row: InboundCall) -> SafeString:
        url = reverse("admin:orders_sourceaccount_change", args=[row.account_id])
        return format_html('<a href="{}">{}</a>', url, row.account.name)

    @admin.display(description=_("Order"))
    def order_link(self, row: InboundCall) -> SafeString | str:
        return link_to_order(row)

    @admin.display(description=_("When"), ordering="received_at")
    def when(self, row: InboundCall) -> Any:
        return local(row.received_at, row.account.restaurant.timezone)


def link_to_order(row: Any) -> SafeString | str:
    """A link to the order of ``row``, or "–"."""
    if row.order_id is None:
        return "–"
    url = reverse("admin:orders_order_change", args=[row.order_id])
    return format_html('<a href="{}">{}</a>', url, row.order)


@admin.register(OrderEvent)
class OrderEventAdmin(RestaurantPage):
    owner_path = "order__restaurant"
    question = _("What changed?")
    question_one = _("What changed here, and who said so?")
    empty_hint = _("The first order will write the first line.")
    list_display = ("order_link", "what", "part_ref", "source", "standing", "when")
    list_filter = ("kind", ("order__restaurant", MineFilter))
    list_select_related = ("order__restaurant",)
    search_fields = ("order__display", "milestone")
    ordering = ("-recorded_at",)
    fields = (
        ("order_link", "what"),
        ("part_ref", "epoch"),
        ("source", "account"),
        ("held", "is_stale"),
        ("occurred_at", "recorded_at"),
        "data",
    )
    readonly_fields = ("order_link", "what")

    @admin.display(description=_("Order"), ordering="order")
    def order_link(self, row: OrderEvent) -> SafeString | str:
        return link_to_order(row)

    @admin.display(description=_("What"), ordering="milestone")
    def what(self, row: OrderEvent) -> SafeString:
        return lines(row.milestone.replace("_", " "), row.kind.replace("_", " "))

    @admin.display(description=_("Standing"))
    def standing(self, row: OrderEvent) -> SafeString:
        if row.held:
            return lines(tag(_("held for staff"), "warn"), row.held.replace("_", " "))
        return tag(_("learned too late"), "warn") if row.is_stale else tag(_("recorded"), "quiet")

    @admin.display(description=_("When"), ordering="recorded_at")
    def when(self, row: OrderEvent) -> Any:
        return local(row.recorded_at, row.order.restaurant.timezone)


@admin.register(Observation)
class ObservationAdmin(RestaurantPage):
    owner_path = "order__restaurant"
    question = _("What did each system state?")
    question_one = _("What exactly was stated?")
    empty_hint = _("The first order will write the first line.")
    list_display = ("order_link", "source", "track", "stated", "scope_word", "when")
    list_filter = ("source", "track", "kind", ("order__restaurant", MineFilter))
    list_select_related = ("order__restaurant",)
    search_fields = ("order__display", "event_key")
    ordering = ("-received_at",)
    fields = (
        ("order_link", "source", "account"),
        ("track", "scope_word", "kind"),
        ("native_state", "state"),
        ("ordering_class", "ordering_key"),
        ("occurred_at", "occurred_at_basis", "received_at"),
        "event_key",
        "data",
    )
    readonly_fields = ("order_link", "scope_word")

    @admin.display(description=_("Order"), ordering="order")
    def order_link(self, row: Observation) -> SafeString | str:
        return link_to_order(row)

    @admin.display(description=_("Stated"))
    def stated(self, row: Observation) -> SafeString:
        ours = (row.state or _now("no state")).replace("_", " ")
        return lines(ours, row.native_state or row.kind)

    @admin.display(description=_("About"))
    def scope_word(self, row: Observation) -> str:
        return f"{row.scope} {row.ref}".strip()

    @admin.display(description=_("When"), ordering="received_at")
    def when(self, row: Observation) -> Any:
        return local(row.received_at, row.order.restaurant.timezone)


def _cure(call: InboundCall) -> dict[str, Any]:
    """Where the cause is mended, when it is not on this page."""
    if "names no location" in call.cause:
        url = reverse("admin:orders_sourceaccount_change", args=[call.account_id])
        return {"cure": url, "cure_word": _now("Choose a kitchen for this source")}
    if "unknown location" in call.cause:
        url = reverse("admin:orders_location_changelist")
        return {"cure": url, "cure_word": _now("See the kitchens")}
    return {}
