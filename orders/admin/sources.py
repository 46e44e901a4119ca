"""Where orders come from: connections, their settings, how they are doing, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from consents.console import Button, MineFilter, Panel, lines, tag
from integrations import registry
from orders import status_maps
from orders.accounts import save_source_account
from orders.admin import source_panels as panels
from orders.admin.base import RestaurantPage, local
from orders.admin.trials import said_of_trial
from orders.admin.words import said_again
from orders.forms import PREFIX, account_form, source_settings
from orders.models import Location, SourceAccount, UnknownWord
from orders.models.source import source_choices
from orders.source_forms import SourceAccountForm, read_meaning
from orders.status_maps import MapChanged, Reread, Word
from orders.try_out import NotPossible, send_trial
from orders.unknown_words import STATE


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
        stuck = Count("calls", filter=Q(calls__state__in=status_maps.STUCK))
        rows: QuerySet[Any] = super().get_queryset(request).annotate(stuck=stuck)
        return rows

    def heading_one(self, request: HttpRequest, obj: SourceAccount) -> Any:
        return _now("Is %(name)s working?") % {"name": obj.name}

    # -- the form: one field per declared setting ----------------------------------------------

    def _key(self, request: HttpRequest, obj: SourceAccount | None) -> str:
        return obj.source if obj else request.GET.get("vendor", "")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        key = self._key(request, obj)
        form = account_form(SourceAccountForm, source_settings(key))
        form.source_key = key  # type: ignore[attr-defined]
        kw["form"] = form
        return super().get_form(request, obj, change=change, **kw)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        key = self._key(request, obj)
        declared = [PREFIX + one.name for one in source_settings(key)]
        settings = [(_("Credentials and settings"), {"fields": declared})] if declared else []
        note = registry.source_setup(key).tells_note if key in registry.SOURCES else ""
        words = _(
            "Only what we do not know anyhow. A change is read into open orders at once; guests "
            "hear nothing twice."
        )
        ranks = _("When several sources speak of one order, the highest decides. Empty: as usual.")
        return (
            (None, {"fields": (("restaurant", "location"), ("name", "mode"), "enabled")}),
            *settings,
            (_("Who tells the guest?"), {"fields": ("told_by_source",), "description": _now(note)}),
            (_("Words this source uses"), {"fields": ("status_map",), "description": words}),
            (
                _("Who speaks first"),
                {
                    "fields": (("rank_commercial", "rank_kitchen", "rank_courier"),),
                    "description": ranks,
                    "classes": ("collapse",),
                },
            ),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("restaurant",) if obj else ()

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        key = self._key(request, None)
        if key in registry.SOURCES or not self.has_add_permission(request):
            extra = dict(extra_context or {})
            if key in registry.SOURCES:
                words = {"vendor": panels.title_of(key)}
                extra["title"] = _now("How do we reach %(vendor)s?") % words
                extra["panels"] = [panels.connect_panel(key)]
            answer: HttpResponse = super().add_view(request, form_url, extra)
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
            obj.status_map = {}
        obj.priority = form.ranks
        save_source_account(account=obj, values=form.typed_settings)
        if (wanted := form.typed_map) is None:
            return
        try:
            words = status_maps.set_status_map(
                account_id=obj.pk,
                status_map=wanted,
                actor=request.user.get_username(),
                now=timezone.now(),
                known_version=form.cleaned_data.get("map_version") if change else None,
            )
        except MapChanged:
            text = _now("The words were not saved: somebody changed them meanwhile.")
            messages.error(request, text)
            return
        if words:
            # afterwards, and without the lock of this page: calls keep coming
            transaction.on_commit(lambda: self._read_again(request, obj.pk, words))

    def _read_again(self, request: HttpRequest, account_id: int, words: Sequence[Word]) -> None:
        calls = status_maps.calls_saying(account_id, words=words)
        done = status_maps.read_again(calls, now=timezone.now())
        if done.tried:
            messages.add_message(request, *said_again(done))

    def response_add(
        self, request: HttpRequest, obj: SourceAccount, post_url_continue: Any = None
    ) -> HttpResponse:
        messages.success(request, _now("Saved. Now paste the address below at the vendor."))
        return redirect("admin:orders_sourceaccount_change", obj.pk)

    # -- what stands around it -----------------------------------------------------------------

    def panels(self, request: HttpRequest, obj: SourceAccount) -> list[Panel]:
        unknown = UnknownWord.objects.filter(account=obj)
        words = panels.words_panel(unknown, request, names_accounts=False)
        return [
            panels.health_panel(obj, self.button_url("try")),
            *([words] if words else []),
            panels.connect_panel(obj.source, obj),
        ]

    def panels_below(self, request: HttpRequest, obj: SourceAccount) -> list[Panel]:
        return panels.history_panel(obj)

    # -- buttons -------------------------------------------------------------------------------

    def buttons(self) -> dict[str, Button]:
        return {"try": self._try}

    def get_urls(self) -> list[URLPattern]:
        words = path(
            "words/", self.admin_site.admin_view(self.map_words), name="orders_sourceaccount_words"
        )
        return [words, *super().get_urls()]

    def _try(self, request: HttpRequest, obj: SourceAccount) -> None:
        """Let the sandbox send a test and say what came of it."""
        try:
            tried = send_trial(account=obj, now=timezone.now())
        except NotPossible as problem:
            messages.warning(request, _now("No test was sent: %(why)s.") % {"why": problem})
            return
        messages.add_message(request, *said_of_trial(tried))

    def map_words(self, request: HttpRequest) -> HttpResponse:
        """Map the chosen words of any of the person's accounts and read their calls again."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        rows = UnknownWord.objects.filter(account__in=self.visible(request))
        chosen = [
            (row, meaning)
            for row in rows.select_related("account")
            if (meaning := request.POST.get(f"word-{row.pk}", ""))
        ]
        by_account: dict[int, list[tuple[UnknownWord, str]]] = {}
        for row, meaning in chosen:
            by_account.setdefault(row.account_id, []).append((row, meaning))
        actor, done, mapped = request.user.get_username(), Reread(), 0
        for entries in by_account.values():
            count, again = _map(entries, actor)
            mapped, done = mapped + count, done + again
        if not mapped:
            messages.info(request, _now("Nothing was chosen."))
        else:
            words = ngettext("%(n)d word mapped.", "%(n)d words mapped.", mapped) % {"n": mapped}
            level, again_words = said_again(done)
            messages.add_message(request, level, f"{words} {again_words}")
        return redirect(_back(request))

    # -- columns -------------------------------------------------------------------------------

    @admin.display(description=_("Connection"), ordering="name")
    def who(self, row: SourceAccount) -> SafeString:
        return lines(row.name, panels.title_of(row.source))

    @admin.display(description=_("Standing"))
    def standing(self, row: SourceAccount) -> SafeString:
        return panels.standing(row)

    @admin.display(description=_("Could not be read"), ordering="stuck")
    def unread(self, row: Any) -> SafeString | str:
        return tag(row.stuck, "bad") if row.stuck else "0"

    @admin.display(description=_("Last call"), ordering="last_call_at")
    def heard(self, row: SourceAccount) -> Any:
        return local(row.last_call_at, row.restaurant.timezone) or _now("never")


def _map(entries: Sequence[tuple[UnknownWord, str]], actor: str) -> tuple[int, Reread]:
    """Map words of one account; (how many, what came of reading again)."""
    account, now = entries[0][0].account, timezone.now()
    states: dict[Word, str] = {}
    kitchens: list[str] = []
    for row, meaning in entries:
        try:
            if row.about == STATE:
                states[row.stream, row.word] = read_meaning(meaning)
            else:
                location_id = int(meaning.removeprefix(panels.KITCHEN))
                status_maps.name_location(account=account, name=row.word, location_id=location_id)
                kitchens.append(row.word)
        except (ValueError, Location.DoesNotExist):
            continue  # no choice of that select box
    words = status_maps.map_words(account_id=account.pk, meanings=states, actor=actor, now=now)
    calls = status_maps.calls_saying(account.pk, words=words, locations=kitchens)
    return len(states) + len(kitchens), status_maps.read_again(calls, now=now)


def _back(request: HttpRequest) -> str:
    """The page the form stood on, if it is one of ours."""
    asked = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(asked, allowed_hosts=None):
        return asked
    return reverse("admin:orders_sourceaccount_changelist")
