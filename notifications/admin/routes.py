"""Who is told what, on which way: routes and the standard set of them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from consents.console import MineFilter, Panel, lines, tag
from notifications import defaults
from notifications.dead_routes import dead_routes
from notifications.models import ProviderAccount, Route
from notifications.route_forms import RouteForm, when_choices
from notifications.selectors import clear_caches
from notifications.triggers import trigger_word
from notifications.words import channel_word
from orders.admin.base import RestaurantPage, local
from orders.models import Location, Restaurant
from orders.phrases import state_word


@admin.register(Route)
class RouteAdmin(RestaurantPage):
    can_add = can_change = can_delete = True
    question = _("Who is told what, and on which way?")
    question_one = _("When does this route speak, and to whom?")
    empty_hint = _("Add the standard set: one route for each thing guests and staff want to know.")
    list_before_template = "admin/console/route_list_top.html"
    form = RouteForm
    list_display = ("name", "told", "occasions", "ways", "standing", "priority", "changed")
    list_filter = ("audience", "enabled", ("restaurant", MineFilter))
    list_select_related = ("restaurant",)
    search_fields = ("name",)
    ordering = ("restaurant", "audience", "priority")
    fieldsets = (
        (None, {"fields": (("restaurant", "name"), ("audience", "priority"), "enabled")}),
        (_("When"), {"fields": ("triggers",)}),
        (
            _("How"),
            {
                "fields": ("steps",),
                "description": _("From top to bottom. A row without a channel is no step."),
            },
        ),
        (
            _("Only if"),
            {
                "fields": (("fulfillment", "sources"), ("locations", "min_late_min")),
                "description": _("Nothing chosen means any."),
                "classes": ("collapse",),
            },
        ),
        (
            _("Rules"),
            {
                "fields": ("purpose", "critical"),
                "description": _(
                    "Critical skips preferences and quiet hours; never the law, never a STOP."
                ),
                "classes": ("collapse",),
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("restaurant",) if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        allowed = {
            "allowed_locations": self.visible_related(Location, request),
            "allowed_accounts": self.visible_related(ProviderAccount, request),
        }
        kw["form"] = type("RouteForm", (RouteForm,), allowed)
        return super().get_form(request, obj, change=change, **kw)

    def save_model(self, request: HttpRequest, obj: Route, form: Any, change: bool) -> None:
        obj.conditions = form.cleaned_data["conditions"]
        super().save_model(request, obj, form, change)
        transaction.on_commit(clear_caches)

    def delete_model(self, request: HttpRequest, obj: Route) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(clear_caches)

    def panels(self, request: HttpRequest, obj: Route) -> list[Panel]:
        dead = [state_word(state) for state in dead_routes(obj.restaurant_id).get(obj.pk, ())]
        return [Panel("admin/console/route_notes.html", {"dead": dead})] if dead else []

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        found: dict[int, list[str]] = {}
        for restaurant_id in {row.restaurant_id for row in page.result_list}:
            found |= dead_routes(restaurant_id)
        for row in page.result_list:
            row.waits_in_vain = found.get(row.pk, ())
        return page

    # -- the standard set ----------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "standard/",
            self.admin_site.admin_view(self.add_standard),
            name=f"{self._url_stem}_standard",
        )
        return [own, *super().get_urls()]

    def add_standard(self, request: HttpRequest) -> HttpResponse:
        """Add the standard routes and words each of the person's restaurants lacks."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        restaurants = list(self.visible_related(Restaurant, request))
        before = self.visible(request).count()
        for restaurant in restaurants:
            defaults.install(restaurant)
        added = self.visible(request).count() - before
        words = ngettext("%(n)d route added.", "%(n)d routes added.", added) % {"n": added}
        messages.success(request, words if added else _now("Nothing was missing."))
        return redirect(f"admin:{self._url_stem}_changelist")

    # -- columns -------------------------------------------------------------------------------

    @admin.display(description=_("Told"), ordering="audience")
    def told(self, row: Route) -> SafeString:
        return lines(row.get_audience_display(), row.restaurant)

    @admin.display(description=_("When"))
    def occasions(self, row: Route) -> SafeString:
        named = [trigger_word(trigger) for trigger in row.triggers]
        if len(named) <= 3:
            return lines(", ".join(named))
        more = _now("and %(n)d more") % {"n": len(named) - 3}
        return lines(", ".join(named[:3]), more)

    @admin.display(description=_("How"))
    def ways(self, row: Route) -> SafeString:
        said = dict(when_choices())
        steps = [
            lines(_way(step), "" if step.get("when", "now") == "now" else said.get(step["when"]))
            for step in row.steps
        ]
        return SafeString("".join(steps))

    @admin.display(description=_("Standing"), ordering="enabled")
    def standing(self, row: Route) -> SafeString:
        if not row.enabled:
            return tag(_("switched off"), "quiet")
        if dead := getattr(row, "waits_in_vain", ()):
            words = ", ".join(state_word(state) for state in dead)
            return tag(_("waits for: %(states)s") % {"states": words}, "warn")
        return tag(_("on"), "good")

    @admin.display(description=_("Changed"), ordering="updated_at")
    def changed(self, row: Route) -> Any:
        return local(row.updated_at, row.restaurant.timezone)


def _way(step: Any) -> str:
    channel = str(step.get("channel") or "")
    return _now("where they asked") if channel == "reply" else channel_word(channel)
