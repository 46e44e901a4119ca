"""API keys: made once, shown once, revoked for good."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from consents.console import MineFilter, lines, manages_anything, tag
from orders.admin.base import RestaurantPage, local
from orders.api_keys import SCOPES, create_key, revoke_key
from orders.forms import ApiKeyForm
from orders.models import ApiKey


@admin.register(ApiKey)
class ApiKeyAdmin(RestaurantPage):
    can_add = True
    question = _("Which programs may call us?")
    question_one = _("What may this program do?")
    empty_hint = _("Add a key for the first program that sends or reads orders.")
    form = ApiKeyForm
    list_display = ("who", "may", "restaurant", "standing", "used", "created_at")
    list_filter = (("restaurant", MineFilter), ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("restaurant",)
    ordering = ("-created_at",)
    add_fieldsets = ((None, {"fields": ("restaurant", "name", "scopes")}),)
    fields = (("name", "prefix"), "restaurant", "may", ("created_at", "last_used_at", "revoked_at"))
    readonly_fields = ("may",)
    actions = ("revoke",)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        made, text = create_key(
            restaurant=obj.restaurant, name=obj.name, scopes=form.cleaned_data["scopes"]
        )
        # the form's row is thrown away: the key was made by the same function the commands use
        obj.__dict__.update({k: v for k, v in made.__dict__.items() if k != "_state"})
        obj._state.adding, obj._state.db = False, made._state.db
        messages.warning(
            request,
            format_html(
                '{} <code class="secret-once">{}</code>',
                _now("Copy the key now; it is shown only this once:"),
                text,
            ),
        )

    @admin.display(description=_("Program"), ordering="name")
    def who(self, row: ApiKey) -> SafeString:
        return lines(row.name, f"ou_{row.prefix}_…")

    @admin.display(description=_("It may"))
    def may(self, row: ApiKey) -> str:
        return ", ".join(SCOPES.get(scope, scope) for scope in row.scopes)

    @admin.display(description=_("Standing"), ordering="revoked_at")
    def standing(self, row: ApiKey) -> SafeString:
        return tag(_("revoked"), "bad") if row.revoked_at else tag(_("works"), "good")

    @admin.display(description=_("Last used"), ordering="last_used_at")
    def used(self, row: ApiKey) -> Any:
        return local(row.last_used_at, row.restaurant.timezone) or _now("never")

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, rows: QuerySet[ApiKey]) -> None:
        """End the chosen keys; programs that use them get 401 from now on."""
        now, done = timezone.now(), 0
        for key in rows.filter(revoked_at=None):
            revoke_key(key=key, at=now)
            done += 1
        words = ngettext("%(n)d key revoked.", "%(n)d keys revoked.", done)
        messages.success(request, words % {"n": done})

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return manages_anything(request.user)
