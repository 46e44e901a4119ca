"""The console's consent pages: who said what, what follows from it, who wrote to us.

Addresses are shown masked, everywhere; the ledger and what is derived from it cannot be edited.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from consents import admin_requests  # noqa: F401 - registers the pages about requests
from consents.admin_deeds import AddressDeeds, EventDeeds, SubjectDeeds
from consents.console import ConsoleAdmin, ConsoleInline, MineFilter, lines, manages_anything, tag
from consents.inbox import settle_items, withdraw_for_items
from consents.models import (
    ConsentEvent,
    ConsentState,
    ContactAddress,
    InboxItem,
    NoticeVersion,
    PolicyPack,
    Preference,
    SenderGroup,
    Subject,
    SubjectAddress,
    Suppression,
)

_GOOD = ("granted", "confirmed", "lifted")
_BAD = ("denied", "withdrawn", "suppressed")


def _tone(word: str) -> str:
    if word in _GOOD:
        return "good"
    return "bad" if word in _BAD else "warn"


def _spaced(code: str) -> str:
    return code.replace("_", " ")


class _HashPage(ConsoleAdmin):
    """A page of rows that know an address only by its hash."""

    search_help_text = _("The first characters of an address hash")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        known = ContactAddress.objects.filter(
            sender_group=OuterRef("sender_group"),
            channel=OuterRef("channel"),
            address_hash=OuterRef("address_hash"),
            generation=OuterRef("generation"),
        )
        rows = super().get_queryset(request).select_related("sender_group")
        found: QuerySet[Any] = rows.annotate(masked=Subquery(known.values("masked")[:1]))
        return found

    @admin.display(description=_("Address"))
    def whom(self, row: Any) -> SafeString:
        """The masked address; erased people keep only their hash."""
        return lines(row.masked or _("erased"), f"{row.channel} · {row.address_hash[:10]}…")


@admin.register(ConsentState)
class ConsentStateAdmin(_HashPage):
    question = _("Who may be told what?")
    question_one = _("What does the ledger say here?")
    empty_hint = _("The first order with a phone number or a mailbox will add a row.")
    list_display = ("whom", "said", "purpose", "until", "sender_group", "since")
    list_filter = ("state", "channel", "purpose", ("sender_group", MineFilter))
    search_fields = ("address_hash__startswith",)
    ordering = ("-since",)
    fields = (
        ("whom", "sender_group"),
        ("channel", "purpose", "state"),
        ("is_customer_refusal", "carrier_block"),
        ("since", "valid_until"),
        "event_id",
    )
    readonly_fields = ("whom",)

    @admin.display(description=_("State"), ordering="state")
    def said(self, row: ConsentState) -> SafeString:
        """The state, and whether only the guest can lift it."""
        return tag(_spaced(row.state), _tone(row.state))

    @admin.display(description=_("Until"), ordering="valid_until")
    def until(self, row: ConsentState) -> Any:
        return row.valid_until or _("no end")


@admin.register(ConsentEvent)
class ConsentEventAdmin(EventDeeds, _HashPage):
    question = _("Who agreed to what, when, and how do we know?")
    question_one = _("What was recorded here?")
    empty_hint = _("Consents, refusals and withdrawals are added as people express them.")
    list_display = ("whom", "what", "purpose", "source", "actor_type", "sequence", "occurred_at")
    list_filter = ("action", "channel", "purpose", "source", ("sender_group", MineFilter))
    search_fields = ("address_hash__startswith",)
    ordering = ("-sequence",)
    fieldsets = (
        (None, {"fields": (("whom", "sender_group"), ("what", "purpose", "channel"), "scope")}),
        (
            _("How do we know?"),
            {
                "fields": (
                    ("source", "actor_type", "actor_id"),
                    ("lawful_basis", "reason"),
                    ("notice_version", "language"),
                    ("jurisdiction", "policy_version"),
                    ("occurred_at", "recorded_at", "valid_until"),
                )
            },
        ),
        (_("The chain"), {"fields": ("sequence", "supersedes", "prev_hash", "row_hash")}),
    )
    readonly_fields = ("whom", "what")

    @admin.display(description=_("Said"), ordering="action")
    def what(self, row: ConsentEvent) -> SafeString:
        return tag(_spaced(row.action), _tone(row.action))


@admin.register(Suppression)
class SuppressionAdmin(_HashPage):
    question = _("Whom must we leave alone?")
    question_one = _("Why is this address left alone?")
    empty_hint = _("Nobody asked to be left alone.")
    list_display = ("whom", "scope", "why", "sender_group", "since")
    list_filter = ("reason", "channel", ("sender_group", MineFilter))
    search_fields = ("address_hash__startswith",)
    ordering = ("-since",)
    fields = (("whom", "sender_group"), ("channel", "scope", "reason"), "since", "event_id")
    readonly_fields = ("whom",)

    @admin.display(description=_("Why"), ordering="reason")
    def why(self, row: Suppression) -> str:
        return _spaced(row.reason)


class _AddressInline(ConsoleInline):
    model = SubjectAddress
    verbose_name_plural = _("Addresses")
    fields = ("address", "created_at")
    readonly_fields = ("address", "created_at")


class _PreferenceInline(ConsoleInline):
    model = Preference
    verbose_name_plural = _("What this person chose")
    fields = readonly_fields = (
        "purpose",
        "event_kind",
        "channel",
        "is_allowed",
        "set_by",
        "set_at",
    )


@admin.register(Subject)
class SubjectAdmin(SubjectDeeds):
    question = _("Whom do we write to?")
    question_one = _("Who is this, and what did they choose?")
    empty_hint = _("People appear with their first order.")
    list_display = ("who", "kind", "locale", "standing", "sender_group", "created_at")
    list_filter = ("kind", "legal_hold", ("sender_group", MineFilter))
    list_select_related = ("sender_group",)
    ordering = ("-created_at",)
    fields = (
        ("name", "kind"),
        ("locale", "timezone"),
        ("quiet_from", "quiet_until"),
        ("restricted_at", "legal_hold"),
        "sender_group",
        "created_at",
    )
    inlines = (_AddressInline, _PreferenceInline)

    @admin.display(description=_("Name"))
    def who(self, row: Subject) -> SafeString:
        return lines(row.name or _("no name"), str(row.pk)[:8])

    @admin.display(description=_("Standing"))
    def standing(self, row: Subject) -> SafeString:
        if row.restricted_at:
            return tag(_("restricted"), "warn")
        return tag(_("open"), "good")


@admin.register(ContactAddress)
class ContactAddressAdmin(AddressDeeds):
    question = _("Which addresses do we have?")
    question_one = _("Can this address be reached?")
    empty_hint = _("Addresses arrive with orders.")
    list_display = ("shown", "origin", "reachable", "generation", "sender_group", "created_at")
    list_filter = ("channel", "origin", ("sender_group", MineFilter))
    list_select_related = ("sender_group",)
    search_fields = ("masked", "address_hash__startswith")
    search_help_text = _("The last digits of a number, or the domain of a mailbox")
    ordering = ("-created_at",)
    fields = (
        ("masked", "channel", "region"),
        ("origin", "generation"),
        ("verified_at", "verified_by"),
        ("unreachable_at", "expires_at", "window_until"),
        ("sender_group", "created_at"),
        "address_hash",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContactAddress]:
        return super().get_queryset(request).defer("value")

    @admin.display(description=_("Address"), ordering="masked")
    def shown(self, row: ContactAddress) -> SafeString:
        return lines(row.masked, row.channel)

    @admin.display(description=_("Reachable"))
    def reachable(self, row: ContactAddress) -> SafeString:
        if row.unreachable_at:
            return tag(_("nobody there"), "bad")
        if row.expires_at and row.expires_at <= timezone.now():
            return tag(_("ended"), "quiet")
        return tag(_("verified"), "good") if row.verified_at else tag(_("not verified"), "quiet")


@admin.register(InboxItem)
class InboxItemAdmin(ConsoleAdmin):
    question = _("Who wrote to us and needs a person?")
    question_one = _("What did they write?")
    empty_hint = _("Nothing to read. What people write and we cannot settle alone comes here.")
    list_display = ("sender", "topic_word", "words", "standing", "received_at")
    list_filter = (
        ("settled_at", admin.EmptyFieldListFilter),
        "topic",
        "channel",
        ("sender_group", MineFilter),
    )
    list_select_related = ("address", "sender_group")
    ordering = ("-received_at",)
    fields = (
        ("sender", "topic_word"),
        "text",
        ("received_at", "holds_marketing"),
        ("settled_at", "settled_by"),
    )
    readonly_fields = ("sender", "topic_word")
    actions = ("settle", "stop_writing")

    def get_queryset(self, request: HttpRequest) -> QuerySet[InboxItem]:
        return super().get_queryset(request).defer("address__value")

    @admin.display(description=_("From"))
    def sender(self, row: InboxItem) -> SafeString:
        return lines(row.address.masked if row.address else _("unknown"), row.channel)

    @admin.display(description=_("About"), ordering="topic")
    def topic_word(self, row: InboxItem) -> str:
        return _spaced(row.topic)

    @admin.display(description=_("Words"))
    def words(self, row: InboxItem) -> str:
        text = row.text or ""
        return text if len(text) <= 80 else f"{text[:79]}…"

    @admin.display(description=_("Standing"), ordering="settled_at")
    def standing(self, row: InboxItem) -> SafeString:
        if row.settled_at:
            return lines(tag(_("settled"), "good"), row.settled_by)
        return tag(_("open"), "warn")

    @admin.action(description=_("Settle"), permissions=["settle"])
    def settle(self, request: HttpRequest, rows: QuerySet[InboxItem]) -> None:
        """Mark the chosen items as dealt with, in the person's name."""
        done = settle_items(
            item_ids=rows.values_list("pk", flat=True),
            actor=request.user.get_username(),
            at=timezone.now(),
        )
        words = ngettext("%(n)d message settled.", "%(n)d messages settled.", done)
        messages.success(request, words % {"n": done})

    @admin.action(description=_("Stop writing to them, and settle"), permissions=["settle"])
    def stop_writing(self, request: HttpRequest, rows: QuerySet[InboxItem]) -> None:
        """The words meant "no more messages": withdraw the channel, in the person's name."""
        asked = rows.filter(settled_at=None).count()
        done = withdraw_for_items(
            item_ids=rows.values_list("pk", flat=True),
            actor=request.user.get_username(),
            at=timezone.now(),
        )
        words = ngettext("%(n)d person gets no more.", "%(n)d people get no more.", done)
        messages.success(request, words % {"n": done})
        if done < asked:
            left = _("Left open, because nobody knows whose address it was: %(n)d.")
            messages.warning(request, left % {"n": asked - done})

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return manages_anything(request.user)


@admin.register(NoticeVersion)
class NoticeVersionAdmin(ConsoleAdmin):
    question = _("Which words did people agree to?")
    question_one = _("What exactly did this notice say?")
    empty_hint = _("Notices are added with the words of a checkout or a portal page.")
    list_display = ("key", "version", "language", "sender_group", "valid_from")
    list_filter = ("language", ("sender_group", MineFilter))
    list_select_related = ("sender_group",)
    ordering = ("key", "-version")
    fields = (("key", "version", "language"), "text", ("sender_group", "valid_from"), "sha256")

    def mine(self, rows: QuerySet[Any], request: HttpRequest) -> QuerySet[Any]:
        if not manages_anything(request.user) or request.user.is_superuser:
            return super().mine(rows, request)
        shared = rows.filter(sender_group=None)  # the words that ship with the product
        return shared | rows.filter(sender_group__in=self.owners(request.user))


@admin.register(PolicyPack)
class PolicyPackAdmin(ConsoleAdmin):
    owner_path = None
    question = _("Which rules apply where, and since when?")
    question_one = _("What does this pack demand?")
    empty_hint = _("The packs are installed by “make run” or “manage.py migrate”.")
    list_display = ("jurisdiction", "version", "effective_to", "effective_from")
    list_filter = ("jurisdiction",)
    ordering = ("jurisdiction", "-effective_from")
    fields = (
        ("jurisdiction", "version"),
        ("effective_from", "effective_to"),
        "rules",
        "sources",
    )


@admin.register(SenderGroup)
class SenderGroupAdmin(ConsoleAdmin):
    owner_path = ""
    question = _("In whose name do messages go out?")
    question_one = _("Who is this seller?")
    superuser_can = frozenset({"add", "change"})
    list_display = ("name", "country", "phone", "stop_scope", "created_at")
    ordering = ("name",)
    fields = (
        ("name", "country"),
        ("phone", "privacy_url"),
        "postal_address",
        "stop_scope",
    )
