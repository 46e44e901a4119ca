"""The words of our messages: edited with a preview, kept in versions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Max, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from consents.console import ConsoleInline, MineFilter, lines, tag
from integrations.sms_text import measure, normalize
from notifications import rendering
from notifications.context import sample
from notifications.forms import MessageTemplateForm
from notifications.models import MessageTemplate, MessageTemplateVersion
from notifications.rendering import TemplateInvalid
from notifications.selectors import clear_caches
from notifications.services import save_template_version
from notifications.triggers import trigger_word
from notifications.words import channel_word
from orders.admin.base import RestaurantPage, local

#: a template belongs to one place of this table for good; other words are another template
_IDENTITY = ("restaurant", "location", "trigger", "audience", "channel", "language")
_FIXED = ("trigger", "language", "channel")


class _VersionInline(ConsoleInline):
    model = MessageTemplateVersion
    verbose_name_plural = _("Earlier words, newest first")
    fields = readonly_fields = ("number", "subject", "text", "created_by", "created_at")
    ordering = ("-number",)
    hide_title = True


@admin.register(MessageTemplate)
class MessageTemplateAdmin(RestaurantPage):
    can_add = can_change = True
    question = _("What do we say, and when?")
    question_one = _("What does this message say?")
    empty_hint = _("Open “Routes” and add the standard set: it brings words for every occasion.")
    form = MessageTemplateForm
    change_form_template = "admin/console/template_form.html"
    list_display = ("when_said", "audience", "way", "language", "words", "standing", "saved")
    list_filter = ("audience", "channel", "language", "enabled", ("restaurant", MineFilter))
    list_select_related = ("restaurant", "location")
    search_fields = ("trigger", "versions__text")
    ordering = ("audience", "trigger", "language")
    inlines = (_VersionInline,)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("trigger", "audience"),
                    ("channel", "language"),
                    ("restaurant", "location"),
                    "enabled",
                )
            },
        ),
        (
            _("Words"),
            {
                "fields": ("text", "subject", "html"),
                "description": _(
                    "Liquid: {{ order.number }}, {{ order.eta_time }}, {% if order.is_delivery %}."
                    " An unknown name is refused when you save."
                ),
            },
        ),
        (_("Rules"), {"fields": (("purpose", "vendor_template"),), "classes": ("collapse",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[MessageTemplate]:
        rows: QuerySet[Any] = super().get_queryset(request).prefetch_related("versions")
        found: QuerySet[Any] = rows.annotate(last_saved=Max("versions__created_at"))
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*_IDENTITY, "when_word", "way") if obj else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.fieldsets
        place = (("when_word", "audience"), ("way", "language"), ("restaurant", "location"))
        return ((None, {"fields": (*place, "enabled")}), *self.fieldsets[1:])

    def save_model(
        self, request: HttpRequest, obj: MessageTemplate, form: Any, change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        save_template_version(
            template=obj,
            text=form.cleaned_data["text"],
            subject=form.cleaned_data["subject"],
            html=form.cleaned_data["html"],
            created_by_id=request.user.pk,
        )
        transaction.on_commit(clear_caches)

    # -- preview -------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "preview/", self.admin_site.admin_view(self.preview), name=f"{self._url_stem}_preview"
        )
        return [own, *super().get_urls()]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """The words being typed, rendered for the sample order: a fragment of HTML."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        typed = {
            name: request.POST.get(name, "")
            for name in ("text", "subject", "html", "trigger", "language", "channel")
        }
        return TemplateResponse(request, "admin/console/preview_windows.html", windows(**typed))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        form = context["adminform"].form
        # what was typed comes first: a refused form is previewed as it stands
        typed = {
            name: str(form[name].value() or "") if name in form.fields else ""
            for name in ("text", "subject", "html", "trigger", "language", "channel")
        }
        obj = kwargs.get("obj")
        if obj is not None:
            typed |= {name: getattr(obj, name) for name in _FIXED}
        context["preview"] = windows(**typed) if typed["text"] else None
        context["fixed"] = {name: getattr(obj, name) for name in _FIXED} if obj else {}
        return super().render_change_form(request, context, *args, **kwargs)

    # -- columns -------------------------------------------------------------------------------

    @admin.display(description=_("When"), ordering="trigger")
    def when_said(self, row: MessageTemplate) -> SafeString:
        return lines(trigger_word(row.trigger), row.location or row.restaurant)

    @admin.display(description=_("When"))
    def when_word(self, row: MessageTemplate) -> str:
        return trigger_word(row.trigger)

    @admin.display(description=_("Way"), ordering="channel")
    def way(self, row: MessageTemplate) -> Any:
        return channel_word(row.channel) if row.channel else _("any channel")

    @admin.display(description=_("Words"))
    def words(self, row: MessageTemplate) -> Any:
        newest = next(iter(row.versions.all()), None)
        if newest is None:
            return tag(_("no words yet"), "bad")
        return newest.text if len(newest.text) <= 70 else f"{newest.text[:69]}…"

    @admin.display(description=_("Standing"), ordering="enabled")
    def standing(self, row: MessageTemplate) -> SafeString:
        return tag(_("in use"), "good") if row.enabled else tag(_("switched off"), "quiet")

    @admin.display(description=_("Saved"), ordering="last_saved")
    def saved(self, row: Any) -> Any:
        return local(row.last_saved, row.restaurant.timezone)


def windows(
    *, text: str, subject: str, html: str, trigger: str, language: str, channel: str
) -> dict[str, Any]:
    """What the preview shows: the rendered sample per channel, or what is wrong."""
    kind, _sep, milestone = trigger.partition(":")
    try:
        made = rendering.render(
            text=text, subject=subject, html=html, context=sample(kind, milestone, language or "en")
        )
    except TemplateInvalid as error:
        return {"problem": str(error)}
    sms = normalize(made.text)
    return {
        "made": made,
        "sms": sms,
        "length": measure(sms),
        "characters": len(sms),
        "shows_sms": channel in ("", "sms"),
        "shows_email": channel in ("", "email"),
        "shows_chat": channel not in ("sms", "email"),
    }
