"""Proof of life of the moving parts."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from consents.console import ConsoleAdmin, tag
from notifications.models import Heartbeat
from orders.phrases import ago

#: a part that was silent for longer is taken for dead
SILENT_AFTER = timedelta(seconds=30)


@admin.register(Heartbeat)
class HeartbeatAdmin(ConsoleAdmin):
    owner_path = None
    question = _("Is everything running?")
    question_one = _("Is this part running?")
    empty_hint = _("Nothing has reported yet. Start the product with “make run”.")
    list_display = ("name", "standing", "heard")
    ordering = ("name",)
    fields = ("name", "at", "detail")

    @admin.display(description=_("Standing"))
    def standing(self, row: Heartbeat) -> SafeString:
        is_silent = timezone.now() - row.at > SILENT_AFTER
        return tag(_("silent"), "bad") if is_silent else tag(_("runs"), "good")

    @admin.display(description=_("Last heard"), ordering="at")
    def heard(self, row: Heartbeat) -> str:
        return ago(row.at, timezone.now())
