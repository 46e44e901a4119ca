"""Why somebody was told something, or was not: the decision and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from consents.console import MineFilter, Panel, lines, tag
from notifications import words
from notifications.models import Notification
from orders.admin.base import RestaurantPage, local
from orders.admin.calls import link_to_order

_GOOD = ("matched", "allowed", "chosen", "queued", "next step", "raised")
_BAD = ("dropped", "refused", "silent")


def trace_rows(trace: Any) -> list[dict[str, str]]:
    """The decision trace as rows: which step, what it said, why."""
    return [
        {
            "step": str(line.get("step", "")),
            "verdict": str(line.get("verdict", "")),
            "tone": _tone(str(line.get("verdict", ""))),
            "why": str(line.get("why", "")).replace("_", " "),
        }
        for line in trace or []
        if isinstance(line, Mapping)
    ]


def _tone(verdict: str) -> str:
    if verdict in _GOOD:
        return "good"
    return "bad" if verdict in _BAD else "quiet"


@admin.register(Notification)
class NotificationAdmin(RestaurantPage):
    question = _("Who was told what, and who was not?")
    empty_hint = _("Nothing was decided yet. The next order update will add a line.")
    list_display = ("what", "order_link", "whom", "outcome", "last_why", "when")
    list_filter = ("audience", "kind", "is_critical", "created_at", ("restaurant", MineFilter))
    list_select_related = ("restaurant", "order", "event", "route")
    search_fields = ("order__display", "milestone")
    search_help_text = _("The number of an order")
    ordering = ("-created_at",)
    fields = (
        ("what", "whom", "order_link"),
        ("route", "purpose"),
        ("is_critical", "is_urgent"),
        ("created_at", "expires_at"),
        ("acknowledged_at", "acknowledged_by"),
    )
    readonly_fields = ("what", "whom", "order_link")

    def heading_one(self, request: HttpRequest, obj: Notification) -> Any:
        if obj.deliveries.exists():
            return _("Why was this sent, and did it arrive?")
        return _("Why was nobody told?")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        rows: QuerySet[Notification] = super().get_queryset(request)
        return rows.prefetch_related("deliveries")

    def panels(self, request: HttpRequest, obj: Notification) -> list[Panel]:
        deliveries = list(
            obj.deliveries.select_related("account", "address", "template_version")
            .defer("account__settings", "address__value")
            .prefetch_related("attempts", "receipts")
            .order_by("step", "id")
        )
        zone = obj.restaurant.timezone
        context = {
            "rows": trace_rows(obj.trace),
            "deliveries": [delivery_facts(one, zone) for one in deliveries],
        }
        return [Panel("admin/console/trace.html", context)]

    @admin.display(description=_("News"), ordering="milestone")
    def what(self, row: Notification) -> SafeString:
        said = words.event_words(row.kind, row.milestone, row.event.data if row.event else {})
        return lines(said, row.route.name if row.route else "")

    @admin.display(description=_("Order"), ordering="order")
    def order_link(self, row: Notification) -> SafeString | str:
        return link_to_order(row)

    @admin.display(description=_("Whom"), ordering="audience")
    def whom(self, row: Notification) -> Any:
        return {"customer": _("the guest"), "staff": _("the staff")}.get(
            row.audience, row.get_audience_display()
        )

    @admin.display(description=_("Outcome"))
    def outcome(self, row: Any) -> SafeString:
        deliveries = list(row.deliveries.all())
        if not deliveries:
            return tag(_("nobody told"), "warn")
        best = min(deliveries, key=lambda one: _RANK.get(one.state, 9))
        return tag(words.delivery_word(best.state), words.delivery_tone(best.state))

    @admin.display(description=_("Why"))
    def last_why(self, row: Notification) -> str:
        rows = trace_rows(row.trace)
        text = rows[-1]["why"] or rows[-1]["verdict"] if rows else ""
        return text if len(text) <= 60 else f"{text[:59]}…"

    @admin.display(description=_("When"), ordering="created_at")
    def when(self, row: Notification) -> Any:
        return local(row.created_at, row.restaurant.timezone)


_RANK = {"read": 0, "delivered": 1, "accepted": 2, "sending": 3, "claimed": 4, "queued": 5,
         "unknown": 6, "waiting": 7, "failed": 8}  # fmt: skip


def delivery_facts(delivery: Any, zone: str) -> dict[str, Any]:
    """One delivery with its tries and receipts, in words."""
    where = delivery.address.masked if delivery.address else delivery.account.name
    url = reverse("admin:notifications_delivery_change", args=[delivery.pk])
    rows = [
        (one.started_at, _now("try %(n)d") % {"n": one.number}, *_try(one))
        for one in delivery.attempts.all()
    ]
    rows += [
        (one.received_at, _now("receipt"), tag(one.kind, _receipt_tone(one.kind)), one.vendor_code)
        for one in delivery.receipts.all()
    ]
    return {
        "title": format_html(
            '<a href="{}">{}</a>', url, f"{words.channel_word(delivery.channel)} · {where}"
        ),
        "account": delivery.account.name,
        "state": tag(words.delivery_word(delivery.state), words.delivery_tone(delivery.state)),
        "reason": words.reason_word(delivery.reason.partition(":")[0]) if delivery.reason else "",
        "words": delivery.template_version.text if delivery.template_version else "",
        "rows": [
            {"when": local(at, zone), "what": what, "verdict": verdict, "detail": detail}
            for at, what, verdict, detail in sorted(rows, key=lambda row: row[0])
        ],
    }


def _receipt_tone(kind: str) -> str:
    if kind in ("delivered", "read", "clicked"):
        return "good"
    return "quiet" if kind == "sent" else "bad"


def _try(attempt: Any) -> tuple[SafeString, str]:
    facts = [f"HTTP {attempt.http_status}"] if attempt.http_status else []
    if attempt.vendor_code:
        facts.append(_now("code %(code)s") % {"code": attempt.vendor_code})
    if attempt.duration_ms is not None:
        facts.append(f"{attempt.duration_ms} ms")
    if attempt.detail:
        facts.append(attempt.detail)
    if not attempt.outcome:
        return tag(_now("in flight"), "quiet"), ", ".join(facts)
    if attempt.outcome == "accepted":
        return tag(_now("accepted by the vendor"), "good"), ", ".join(facts)
    return tag(words.reason_word(attempt.outcome), "bad"), ", ".join(facts)
