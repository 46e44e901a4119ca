"""Restaurants, their kitchens and their managers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from consents.console import Button, ConsoleInline, MineFilter, Panel, lines, tag
from orders import busy
from orders.admin.base import RestaurantPage
from orders.forms import LocationForm, RestaurantForm
from orders.models import Location, Membership, Restaurant
from orders.selectors import clear_caches


class _LocationInline(ConsoleInline):
    model = Location
    verbose_name_plural = _("Kitchens")
    fields = readonly_fields = ("name", "timezone", "external_ids")
    show_change_link = True


@admin.register(Restaurant)
class RestaurantAdmin(RestaurantPage):
    owner_path = ""
    can_change = True
    superuser_can = frozenset({"add"})
    question = _("Which restaurants do we speak for?")
    question_one = _("How does this restaurant appear to its guests?")
    form = RestaurantForm
    list_display = ("who", "country", "timezone", "language", "created_at")
    search_fields = ("name", "slug")
    ordering = ("name",)
    fields = (
        ("name", "slug"),
        ("country", "timezone", "language"),
        ("phone", "accent"),
        ("sender_group", "is_demo"),
    )
    inlines = (_LocationInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # the legal seller and the address of the pages are not a manager's to change
        return () if request.user.is_superuser else ("slug", "sender_group", "is_demo")

    def save_model(self, request: HttpRequest, obj: Restaurant, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        transaction.on_commit(clear_caches)

    @admin.display(description=_("Restaurant"), ordering="name")
    def who(self, row: Restaurant) -> SafeString:
        return lines(row.name, _("demonstration") if row.is_demo else row.phone)


@admin.register(Location)
class LocationAdmin(RestaurantPage):
    can_add = can_change = True
    question = _("Which kitchens are there, and how busy are they?")
    question_one = _("When does this kitchen count as late?")
    empty_hint = _("Add the first kitchen: orders need one to arrive at.")
    form = LocationForm
    list_display = ("name", "restaurant", "busyness", "grace_min", "stalled_min")
    list_filter = (("restaurant", MineFilter),)
    list_select_related = ("restaurant",)
    search_fields = ("name",)
    ordering = ("restaurant", "name")
    fieldsets = (
        (None, {"fields": (("restaurant", "name"), ("timezone", "has_own_drivers"))}),
        (
            _("What the sources call it"),
            {"fields": ("external_ids",), "description": _("Separated by commas.")},
        ),
        (
            _("Busy right now?"),
            {
                "fields": (("busy_extra_min", "busy_until"),),
                "description": _("Minutes added to every open estimate until then."),
            },
        ),
        (
            _("When is an order late? (minutes)"),
            {
                "fields": (
                    ("grace_min", "stalled_min"),
                    ("kitchen_floor_min", "courier_floor_min", "threshold_cap_min"),
                )
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("restaurant",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Location, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        transaction.on_commit(clear_caches)

    def panels(self, request: HttpRequest, obj: Location) -> list[Panel]:
        until = busy.until_word(obj, timezone.now())
        context = {"kitchen": obj, "until": until, "minutes": busy.EXTRA_MIN}
        return [Panel("admin/console/busy.html", context)]

    def buttons(self) -> dict[str, Button]:
        return {"busy": self._start_busy, "calm": self._end_busy}

    def _start_busy(self, request: HttpRequest, obj: Location) -> None:
        said = busy.start_busy(
            location_id=obj.pk, actor=request.user.get_username(), now=timezone.now()
        )
        messages.info(request, busy.in_words(said))

    def _end_busy(self, request: HttpRequest, obj: Location) -> None:
        busy.end_busy(location_id=obj.pk)
        messages.info(request, _now("Back to normal. Times people were told stay."))

    @admin.display(description=_("Busy"))
    def busyness(self, row: Location) -> SafeString:
        if busy.is_busy(row, timezone.now()):
            return tag(_("+%(n)d min") % {"n": row.busy_extra_min}, "warn")
        return tag(_("normal"), "good")


@admin.register(Membership)
class MembershipAdmin(RestaurantPage):
    superuser_can = frozenset({"add", "change", "delete"})
    question = _("Who manages which restaurant?")
    question_one = _("Who is this?")
    empty_hint = _("Nobody yet. Add a user under “Users”, then make them a member here.")
    list_display = ("user", "restaurant")
    list_filter = (("restaurant", MineFilter),)
    list_select_related = ("user", "restaurant")
    fields = ("user", "restaurant")
