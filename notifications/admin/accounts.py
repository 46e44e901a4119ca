"""How messages leave: accounts at providers, their settings, their health, a test."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from consents.console import MineFilter, Panel, lines, tag
from integrations import registry
from integrations.contracts import Provider, Setting
from integrations.errors import ConfigurationError, IntegrationError
from notifications.forms import ProviderAccountForm, TestMessageForm
from notifications.models import ProviderAccount
from notifications.models.account import provider_choices
from notifications.selectors import webhook_url
from notifications.services import check_account, save_account, set_up_gaps, test_account
from notifications.words import channel_word, reason_word
from orders.admin.base import RestaurantPage, local
from orders.forms import PREFIX, account_form

#: an address to offer for the test of a sandbox account, by channel: reserved for examples
_TRY = {"sms": "+12025550142", "whatsapp": "+12025550142", "email": "guest@example.com"}


def _provider(key: str) -> type[Provider] | None:
    return registry.provider_class(key) if key in registry.PROVIDERS else None


def _declared(key: str) -> tuple[Setting, ...]:
    provider = _provider(key)
    return provider.settings if provider else ()


def _title(key: str) -> str:
    provider = _provider(key)
    return (provider.title if provider else "") or key.replace("_", " ").title()


@admin.register(ProviderAccount)
class ProviderAccountAdmin(RestaurantPage):
    can_add = can_change = True
    question = _("By which ways do messages leave, and do they work?")
    question_one = _("Does this account work?")
    empty_hint = _("Connect the first provider: without one nobody can be told anything.")
    list_display = ("who", "way", "restaurant", "mode", "standing", "priority", "accepted")
    list_filter = ("channel", "mode", "enabled", ("restaurant", MineFilter))
    list_select_related = ("restaurant",)
    search_fields = ("name",)
    ordering = ("restaurant", "channel", "priority")

    # -- the form: one field per declared setting ----------------------------------------------

    def _key(self, request: HttpRequest, obj: ProviderAccount | None) -> str:
        return obj.provider if obj else request.GET.get("vendor", "")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        key = self._key(request, obj)
        form = account_form(ProviderAccountForm, _declared(key))
        form.provider_key = key  # type: ignore[attr-defined]
        kw["form"] = form
        return super().get_form(request, obj, change=change, **kw)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        declared = [PREFIX + one.name for one in _declared(self._key(request, obj))]
        first = (None, {"fields": (("restaurant", "name"), ("mode", "priority"), "enabled")})
        tuning = (_("Fine tuning"), {"fields": ("rate_per_s",), "classes": ("collapse",)})
        middle = [(_("Credentials and settings"), {"fields": declared})] if declared else []
        return (first, *middle, tuning)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("restaurant",) if obj else ()

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if _provider(self._key(request, None)) or not self.has_add_permission(request):
            answer: HttpResponse = super().add_view(request, form_url, extra_context)
            return answer
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _now("Which provider shall carry the messages?"),
            "vendors": [
                {
                    "key": key,
                    "title": _title(key),
                    "what": channel_word(registry.provider_class(key).channel),
                }
                for key, _label in provider_choices()
            ],
        }
        return TemplateResponse(request, "admin/console/vendor_choice.html", context)

    def save_model(
        self, request: HttpRequest, obj: ProviderAccount, form: Any, change: bool
    ) -> None:
        if not change:
            obj.provider = self._key(request, None)
        save_account(account=obj, values=form.typed_settings)

    # -- health and test -----------------------------------------------------------------------

    def panels(self, request: HttpRequest, obj: ProviderAccount) -> list[Panel]:
        zone, now = obj.restaurant.timezone, timezone.now()
        rows: list[tuple[str, object, object]] = [
            (_now("Last accepted"), local(obj.last_accepted_at, zone) or _now("never"), "")
        ]
        if obj.last_error:
            rows.append((_now("Last error"), local(obj.last_error_at, zone), obj.last_error))
        context = {
            "standing": self.standing(obj),
            "cure": _cure(obj, now),
            "rows": rows,
            "url": webhook_url(obj.token),
            "url_label": _now("Webhook URL to paste at %(vendor)s")
            % {"vendor": _title(obj.provider)},
            "shows_url": _hears_back(obj),
            "is_local": settings.PUBLIC_URL.startswith("http://127."),
            "sandbox_url": settings.SANDBOX_URL if obj.mode == "sandbox" else "",
        }
        return [Panel("admin/console/account_health.html", context)]

    def panels_below(self, request: HttpRequest, obj: ProviderAccount) -> list[Panel]:
        initial = {"to": _TRY.get(obj.channel, "") if obj.mode == "sandbox" else ""}
        provider = _provider(obj.provider)
        is_fixed = provider is not None and provider.capabilities.account_is_address
        context = {
            "form": None if is_fixed else TestMessageForm(initial=initial),
            "action": self.button_url("test"),
            "account": obj,
        }
        return [Panel("admin/console/account_test.html", context)]

    def buttons(self) -> dict[str, Any]:
        return {"test": self.send_test}

    def send_test(self, request: HttpRequest, obj: ProviderAccount) -> None:
        """Send one test message and say in words what came of it."""
        form = TestMessageForm(request.POST)
        to = form.cleaned_data["to"].strip() if form.is_valid() else ""
        try:
            accepted = test_account(account=obj, to=to)
        except ConfigurationError as error:
            words = {"why": error.detail}
            messages.error(request, _now("Not sent: %(why)s. Check the settings.") % words)
        except IntegrationError as error:
            words = {"why": reason_word(error.code), "detail": str(error)}
            messages.error(request, _now("Not sent: %(why)s (%(detail)s).") % words)
        else:
            name = accepted.vendor_id or _now("none given")
            text = _now("%(vendor)s took the test message (its id: %(id)s).")
            messages.success(request, text % {"vendor": _title(obj.provider), "id": name})
        for gap in set_up_gaps(obj):
            messages.warning(request, gap)

    # -- columns -------------------------------------------------------------------------------

    @admin.display(description=_("Account"), ordering="name")
    def who(self, row: ProviderAccount) -> SafeString:
        return lines(row.name, _title(row.provider))

    @admin.display(description=_("Way"), ordering="channel")
    def way(self, row: ProviderAccount) -> str:
        return channel_word(row.channel)

    @admin.display(description=_("Standing"))
    def standing(self, row: ProviderAccount) -> SafeString:
        if not row.enabled:
            return tag(_("switched off"), "quiet")
        if row.stopped_reason:
            return tag(_("stopped"), "bad")
        if check_account(row):
            return tag(_("settings missing"), "bad")
        if row.open_until and row.open_until > timezone.now():
            return tag(_("resting after failures"), "warn")
        return tag(_("works"), "good") if row.last_accepted_at else tag(_("not used yet"), "quiet")

    @admin.display(description=_("Last accepted"), ordering="last_accepted_at")
    def accepted(self, row: ProviderAccount) -> Any:
        return local(row.last_accepted_at, row.restaurant.timezone) or _now("never")


def _hears_back(account: ProviderAccount) -> bool:
    provider = _provider(account.provider)
    if provider is None:
        return False
    return provider.capabilities.receipts or provider.capabilities.replies


def _cure(account: ProviderAccount, now: datetime) -> str:
    """What the manager should do, "" when all is well."""
    if account.stopped_reason:
        text = _now("Stopped: %(why)s. Mend the settings below and save; waiting messages leave.")
        return text % {"why": account.stopped_reason}
    if missing := check_account(account):
        return _now("Not ready: %(what)s.") % {"what": missing}
    if not account.enabled:
        return _now("Switch it on below to use it.")
    if account.open_until and account.open_until > now:
        seconds = int((account.open_until - now).total_seconds())
        text = _now("It failed %(n)d times in a row and is tried again in %(s)d s.")
        return text % {"n": account.failures_in_row, "s": seconds}
    if account.last_accepted_at is None:
        return _now("Send a test below.")
    return ""
