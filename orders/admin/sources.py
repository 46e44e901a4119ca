"""Where orders come from: connections, their settings and how they are doing."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from consents.console import MineFilter, Panel, lines, tag
from integrations import registry
from orders import phrases
from orders.accounts import missing_settings, save_source_account
from orders.admin.base import RestaurantPage, local
from orders.forms import PREFIX, SourceAccountForm, account_form, source_settings
from orders.models import InboundCall, SourceAccount
from orders.models.source import source_choices
from orders.selectors import webhook_url


@admin.register(SourceAccount)
class SourceAccountAdmin(RestaurantPage):
    can_add = can_change = True
    question = _("Where do our orders come from, and do they still come?")
    question_one = _("Is this connection working?")
    empty_hint = _("Connect the first system orders come from.")
    list_display = ("who", "restaurant", "mode", "standing", "unread", "heard")
    list_filter = ("source", "mode", "enabled", ("restaurant", MineFilter))
    list_select_related = ("restaurant",)
    search_fields = ("name",)
    ordering = ("restaurant", "name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SourceAccount]:
        stuck = Count("calls", filter=Q(calls__state__in=["quarantined", "failed"]))
        rows: QuerySet[Any] = super().get_queryset(request).annotate(stuck=stuck)
        return rows

    # -- the form: one field per declared setting ----------------------------------------------

    def _key(self, request: HttpRequest, obj: SourceAccount | None) -> str:
        return obj.source if obj else request.GET.get("vendor", "")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        kw["form"] = account_form(SourceAccountForm, source_settings(self._key(request, obj)))
        return super().get_form(request, obj, change=change, **kw)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        declared = [PREFIX + one.name for one in source_settings(self._key(request, obj))]
        return (
            (None, {"fields": (("restaurant", "location"), ("name", "mode"), "enabled")}),
            (_("Credentials and settings"), {"fields": declared}),
            (
                _("Fine tuning"),
                {"fields": ("told_by_source", "status_map", "priority"), "classes": ("collapse",)},
            ),
        )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        if (key := self._key(request, None)) in registry.SOURCES:
            initial["told_by_source"] = sorted(registry.source_setup(key).tells_guest)
        return initial

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("restaurant",) if obj else ()

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if self._key(request, None) in registry.SOURCES or not self.has_add_permission(request):
            answer: HttpResponse = super().add_view(request, form_url, extra_context)
            return answer
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _now("Which system do the orders come from?"),
            "vendors": [
                {"key": key, "title": registry.source_class(key).title or title}
                for key, title in source_choices()
            ],
        }
        return TemplateResponse(request, "admin/console/vendor_choice.html", context)

    def save_model(self, request: HttpRequest, obj: SourceAccount, form: Any, change: bool) -> None:
        if not change:
            obj.source = self._key(request, None)
        if "status_map" in form.changed_data and change:
            obj.status_map_version += 1
        save_source_account(account=obj, values=form.typed_settings)

    # -- what stands around it -----------------------------------------------------------------

    def panels(self, request: HttpRequest, obj: SourceAccount) -> list[Panel]:
        zone = obj.restaurant.timezone
        rows = [
            (_now("Last call"), local(obj.last_call_at, zone) or _now("never"), ""),
            (_now("States it ever stated"), self._states(obj), ""),
        ]
        if obj.signature_failures:
            failed = _now("%(n)d, the last one %(when)s") % {
                "n": obj.signature_failures,
                "when": phrases.ago(obj.last_signature_failure_at, timezone.now())
                if obj.last_signature_failure_at
                else "?",
            }
            rows.append((_now("Calls with a wrong signature"), failed, obj.last_signature_hint))
        if obj.last_polled_at or obj.poll_error:
            polled = local(obj.last_polled_at, zone) or _now("never")
            rows.append((_now("Last asked for changes"), polled, obj.poll_error))
        stuck = InboundCall.objects.filter(account=obj, state__in=["quarantined", "failed"])
        context = {
            "url": webhook_url(obj),
            "url_label": _now("Webhook URL to paste at %(vendor)s")
            % {"vendor": registry.source_class(obj.source).title or obj.source},
            "is_local": settings.PUBLIC_URL.startswith("http://127."),
            "standing": self.standing(obj),
            "cure": self._cure(obj),
            "rows": rows,
            "stuck": stuck.count(),
            "account": obj,
        }
        return [Panel("admin/console/source_health.html", context)]

    @staticmethod
    def _states(obj: SourceAccount) -> str:
        if not obj.seen_states:
            return _now("none yet")
        return ", ".join(phrases.state_word(state) for state in obj.seen_states)

    @staticmethod
    def _cure(obj: SourceAccount) -> str:
        missing = missing_settings(source_settings(obj.source), obj.settings or {})
        if missing:
            names = ", ".join(one.label or one.name for one in missing)
            return _now("Fill in: %(names)s.") % {"names": names}
        if not obj.enabled:
            return _now("Switch it on below; until then its calls are refused.")
        if obj.last_call_at is None:
            return _now("Paste the webhook URL at the vendor and place a test order.")
        if obj.signature_failures and (
            obj.last_signature_failure_at and obj.last_signature_failure_at > obj.last_call_at
        ):
            return _now("The last call was refused: compare the signing secret at the vendor.")
        return ""

    @admin.display(description=_("Connection"), ordering="name")
    def who(self, row: SourceAccount) -> SafeString:
        return lines(row.name, registry.source_class(row.source).title or row.source)

    @admin.display(description=_("Standing"))
    def standing(self, row: SourceAccount) -> SafeString:
        if not row.enabled:
            return tag(_("switched off"), "quiet")
        if missing_settings(source_settings(row.source), row.settings or {}):
            return tag(_("settings missing"), "bad")
        failed, heard = row.last_signature_failure_at, row.last_call_at
        if failed and (heard is None or failed > heard):
            return tag(_("signature refused"), "bad")
        if heard and row.silent_since == heard:
            return tag(_("silent"), "bad")
        return tag(_("works"), "good") if heard else tag(_("no news yet"), "quiet")

    @admin.display(description=_("Could not be read"), ordering="stuck")
    def unread(self, row: Any) -> SafeString | str:
        return tag(row.stuck, "bad") if row.stuck else "0"

    @admin.display(description=_("Last call"), ordering="last_call_at")
    def heard(self, row: SourceAccount) -> Any:
        return local(row.last_call_at, row.restaurant.timezone) or _now("never")
