"""The console's pages about rights, looks at addresses, imports and the books of the ledger."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from consents import rights
from consents.admin_words import action_word, request_word
from consents.console import Button, ConsoleAdmin, MineFilter, Panel, lines, tag
from consents.import_rows import COLUMNS, MAX_BYTES, read_rows
from consents.importing import ListRefused, open_import
from consents.models import (
    AddressReveal,
    ConsentImport,
    LedgerCheckpoint,
    RetentionRun,
    RightsRequest,
)

_SOON = timedelta(days=7)
_SHOWN = 200


@admin.register(RightsRequest)
class RightsRequestAdmin(ConsoleAdmin):
    question = _("Who used a right, and until when must we answer?")
    question_one = _("What do they want, and how far is it?")
    empty_hint = _("Nobody asked. Requests come from the portal, the API and a person's page.")
    list_display = ("what", "who", "clock", "standing", "sender_group", "received_at")
    list_filter = ("state", "kind", "asked_via", ("sender_group", MineFilter))
    list_select_related = ("sender_group",)
    ordering = ("settled_at", "due_at")
    fields = (
        ("what", "standing", "clock"),
        ("who", "asked_via"),
        "text",
        ("received_at", "acknowledged_at"),
        ("settled_at", "settled_by"),
        "outcome",
    )
    readonly_fields = ("what", "standing", "clock", "who")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("file")

    @admin.display(description=_("They want"), ordering="kind")
    def what(self, row: RightsRequest) -> SafeString:
        return lines(request_word(row.kind), row.asked_via)

    @admin.display(description=_("Who"))
    def who(self, row: RightsRequest) -> str:
        return str(row.subject_ref)[:8] if row.subject_id else _now("erased")

    @admin.display(description=_("Clock"), ordering="due_at")
    def clock(self, row: RightsRequest) -> SafeString:
        """How much of the legal time is left."""
        if row.settled_at is not None:
            return lines(tag(_("answered"), "good"))
        if row.kind == RightsRequest.Kind.COMPLAINT and row.acknowledged_at is not None:
            return lines(tag(_("acknowledged"), "good"), _("answer without undue delay"))
        left = row.due_at - timezone.now()
        when = f"{timezone.localtime(row.due_at):%Y-%m-%d}"
        if left < timedelta(0):
            return lines(tag(_("overdue"), "bad"), when)
        days = _now("%(n)d days left") % {"n": left.days}
        return lines(tag(days, "warn" if left < _SOON else "quiet"), when)

    @admin.display(description=_("Standing"), ordering="state")
    def standing(self, row: RightsRequest) -> SafeString:
        words = {"open": _("open"), "working": _("under way"), "done": _("done")}
        tones = {"done": "good", "refused": "quiet"}
        return tag(words.get(row.state, _("refused")), tones.get(row.state, "warn"))

    def panels(self, request: HttpRequest, obj: RightsRequest) -> Sequence[Panel]:
        if obj.state not in rights.UNSETTLED:
            return ()
        is_erasure = obj.kind == RightsRequest.Kind.ERASURE
        context = {
            "row": obj,
            "begin_url": self.button_url("begin") if obj.state == "open" else "",
            "acknowledge_url": "" if obj.acknowledged_at else self.button_url("acknowledge"),
            "settle_url": "" if is_erasure else self.button_url("settle"),
            "refuse_url": self.button_url("refuse"),
        }
        return [Panel("admin/console/request_deeds.html", context)]

    def buttons(self) -> Mapping[str, Button]:
        return {name: getattr(self, name) for name in ("begin", "acknowledge", "settle", "refuse")}

    def begin(self, request: HttpRequest, obj: RightsRequest) -> None:
        """Somebody checked who asks."""
        self._do(request, lambda by, now: rights.begin(request_id=obj.pk, by=by, now=now))

    def acknowledge(self, request: HttpRequest, obj: RightsRequest) -> None:
        """The person was told that we have it."""
        self._do(request, lambda by, now: rights.acknowledge(request_id=obj.pk, by=by, now=now))

    def settle(self, request: HttpRequest, obj: RightsRequest) -> None:
        """It is answered."""
        note = request.POST.get("note", "")
        self._do(
            request, lambda by, now: rights.settle(request_id=obj.pk, by=by, now=now, note=note)
        )

    def refuse(self, request: HttpRequest, obj: RightsRequest) -> None:
        """No, with the reason the person is given."""
        why = request.POST.get("reason", "").strip()
        if len(why) < 3:
            messages.error(request, _now("The person is owed a reason."))
            return
        self._do(
            request, lambda by, now: rights.refuse(request_id=obj.pk, by=by, now=now, reason=why)
        )

    def _do(self, request: HttpRequest, deed: Any) -> None:
        try:
            deed(request.user.get_username(), timezone.now())
        except (rights.RequestSettled, ValueError):
            messages.warning(request, _now("Nothing was changed: it is settled, or erasing."))
        else:
            messages.success(request, _now("Done, in your name."))


@admin.register(AddressReveal)
class AddressRevealAdmin(ConsoleAdmin):
    owner_path = "address__sender_group"
    question = _("Who looked at whole addresses?")
    question_one = _("Who looked, and why?")
    empty_hint = _("Nobody looked. Addresses are masked until somebody says why they need one.")
    list_display = ("masked", "seen_by", "why", "seen_at")
    search_fields = ("seen_by", "masked")
    ordering = ("-seen_at",)
    fields = (("masked", "seen_by"), "why", "seen_at")


class ImportForm(forms.ModelForm):  # type: ignore[type-arg]
    """A list and the seller it was given to."""

    list = forms.FileField(
        label=_("List (CSV)"),
        help_text=_("First line: %(names)s. Needed are address, action and occurred_at.")
        % {"names": ", ".join(COLUMNS)},
    )

    class Meta:
        model = ConsentImport
        fields = ("sender_group",)

    def clean_list(self) -> bytes:
        """The bytes, once their first line could be read."""
        data: bytes = self.cleaned_data["list"].read(MAX_BYTES + 1)
        try:
            next(read_rows(data), None)
        except ListRefused as error:
            raise forms.ValidationError(_refusal(error.code)) from None
        return data


def _refusal(code: str) -> str:
    return {
        "empty": _now("The file is empty."),
        "too_large": _now("The file is larger than 32 MB: split it."),
        "too_many_rows": _now("The file has more than 250,000 rows: split it."),
        "no_address_column": _now("The first line names no column “address”."),
        "no_action_column": _now("The first line names no column “action”."),
        "unknown_column": _now("The first line names a column we do not know, or one twice."),
    }.get(code, _now("The first line cannot be read."))


@admin.register(ConsentImport)
class ConsentImportAdmin(ConsoleAdmin):
    can_add = True
    question = _("Which lists of consents were taken over?")
    question_one = _("What became of this list?")
    empty_hint = _("None yet. Add one: each row becomes what the ledger makes of it.")
    list_display = ("name", "made_by", "progress", "refused_rows", "sender_group", "started_at")
    list_filter = (("sender_group", MineFilter),)
    list_select_related = ("sender_group",)
    ordering = ("-started_at",)
    form = ImportForm
    fields = (("name", "made_by"), "sender_group", ("started_at", "finished_at"), "sha256")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("file", "problems")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        title = {"title": _now("Which list shall be taken over?")}
        answer: HttpResponse = super().add_view(request, form_url, title | (extra_context or {}))
        return answer

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ((None, {"fields": ("sender_group", "list")}),)
        return super().get_fieldsets(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_form(request, obj, **({"fields": ("sender_group",)} | kwargs))

    def save_model(self, request: HttpRequest, obj: ConsentImport, form: Any, change: bool) -> None:
        made = open_import(
            sender_group_id=obj.sender_group_id,
            name=form.files["list"].name,
            data=form.cleaned_data["list"],
            by=request.user.get_username(),
            now=timezone.now(),
        )
        obj.pk, obj.name = made.pk, made.name
        obj._state.adding = False

    @admin.display(description=_("Rows"))
    def progress(self, row: ConsentImport) -> SafeString:
        taken = sum(n for code, n in row.counts.items() if code != "problems")
        state = tag(_("taken over"), "good") if row.finished_at else tag(_("running"), "warn")
        return lines(state, f"{taken}")

    @admin.display(description=_("Not taken"))
    def refused_rows(self, row: ConsentImport) -> int:
        return int(row.counts.get("problems", 0))

    def panels(self, request: HttpRequest, obj: ConsentImport) -> Sequence[Panel]:
        context = {
            "row": obj,
            "counts": [
                (action_word(code), count, "")
                for code, count in sorted(obj.counts.items())
                if code != "problems"
            ],
            "problems": [
                (number, str(code).replace("_", " ")) for number, code in obj.problems[:_SHOWN]
            ],
            "total": len(obj.problems),
            "url": self.button_url("problems"),
        }
        return [Panel("admin/console/import_report.html", context)]

    def buttons(self) -> Mapping[str, Button]:
        return {"problems": self.problems}

    def problems(self, request: HttpRequest, obj: ConsentImport) -> HttpResponse:
        """Every row that was not taken, by number and code."""
        answer = HttpResponse(content_type="text/csv")
        answer["Content-Disposition"] = f'attachment; filename="rows-not-taken-{obj.pk}.csv"'
        csv.writer(answer).writerows([("row", "code"), *obj.problems])
        return answer


@admin.register(RetentionRun)
class RetentionRunAdmin(ConsoleAdmin):
    owner_path = None
    question = _("What was cleared out, and when?")
    question_one = _("What did this night clear out?")
    empty_hint = _("The first night has not come yet.")
    list_display = ("ran_at", "kind", "rows", "held")
    ordering = ("-ran_at",)
    fields = (("ran_at", "is_dry_run"), "counts", "held")

    @admin.display(description=_("Kind"))
    def kind(self, row: RetentionRun) -> SafeString:
        return tag(_("trial"), "quiet") if row.is_dry_run else tag(_("deleted"), "good")

    @admin.display(description=_("Rows"))
    def rows(self, row: RetentionRun) -> str:
        return ", ".join(f"{name.replace('_', ' ')}: {n}" for name, n in row.counts.items()) or "0"


@admin.register(LedgerCheckpoint)
class LedgerCheckpointAdmin(ConsoleAdmin):
    owner_path = None
    question = _("Is the ledger as it was?")
    question_one = _("What did the ledger look like then?")
    empty_hint = _("The first checkpoint is signed tonight.")
    list_display = ("made_at", "chains", "last_sequence", "short")
    ordering = ("-made_at",)
    fields = (
        ("made_at", "key_version"),
        ("chains", "last_sequence"),
        "heads_hash",
        "previous",
        "signature",
    )

    @admin.display(description=_("Signature"))
    def short(self, row: LedgerCheckpoint) -> str:
        return f"{row.signature[:16]}…"
