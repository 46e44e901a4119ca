"""What stands around the form of a source account: health, how to connect it, unknown words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from consents.console import Panel, tag
from integrations import registry
from integrations.contracts import Source
from integrations.errors import ConfigurationError
from orders import phrases
from orders.accounts import missing_settings
from orders.admin.base import local
from orders.admin.words import call_standing
from orders.forms import source_settings
from orders.models import InboundCall, Location, SourceAccount, StatusMapChange, UnknownWord
from orders.models.source import AccountMode
from orders.public_url import why_unreachable
from orders.selectors import source_for, webhook_url
from orders.source_forms import meaning_choices, meaning_word
from orders.status_maps import STUCK
from orders.try_out import NOT_POSTED
from orders.unknown_words import LOCATION

#: rows of a panel; the rest is counted
MOST_ROWS = 30
KITCHEN = "kitchen-"


def title_of(key: str) -> str:
    """What people call the source ``key``."""
    return registry.source_class(key).title or key


# --- health -------------------------------------------------------------------------------------


def health_panel(account: SourceAccount, try_url: str) -> Panel:
    """How it is doing, what to do about it, and the button that sends a test."""
    now, zone = timezone.now(), account.restaurant.timezone
    stuck = InboundCall.objects.filter(account=account, state__in=STUCK)
    rows: list[tuple[str, object, object]] = [
        (_("Last event"), *_last_event(account, zone)),
        *_handshake(account, zone),
        *_refusals(account, now),
        *_polling(account, zone),
    ]
    setup = registry.source_setup(account.source)
    return Panel(
        "admin/console/source_health.html",
        {
            "standing": standing(account),
            "cure": cure(account),
            "rows": rows,
            "stuck": stuck.count(),
            "account": account,
            "title": title_of(account.source),
            "is_sandbox": account.mode == AccountMode.SANDBOX and account.source not in NOT_POSTED,
            "live_test": _(setup.live_test),
            "try_url": try_url,
        },
    )


def standing(account: SourceAccount) -> SafeString:
    """One word on whether it works."""
    if not account.enabled:
        return tag(_("switched off"), "quiet")
    if missing_settings(source_settings(account.source), account.settings or {}):
        return tag(_("settings missing"), "bad")
    if _is_out_of_reach(account):
        return tag(_("out of reach"), "bad")
    heard = account.last_call_at
    if _was_refused_last(account):
        return tag(_("signature refused"), "bad")
    if heard and account.silent_since == heard:
        return tag(_("silent"), "bad")
    return tag(_("works"), "good") if heard else tag(_("no news yet"), "quiet")


def cure(account: SourceAccount) -> str:
    """The one thing to do about it; "" when all is well."""
    missing = missing_settings(source_settings(account.source), account.settings or {})
    if missing:
        names = ", ".join(one.label or one.name for one in missing)
        return _("Fill in: %(names)s.") % {"names": names}
    if not account.enabled:
        return _("Switch it on below; until then its calls are refused.")
    if _is_out_of_reach(account):
        return _(
            "Vendors cannot call this machine's own address: set PUBLIC_URL to the one they can."
        )
    if account.last_call_at is None and account.source not in NOT_POSTED:
        if account.mode == AccountMode.SANDBOX:
            return _("Press “Send me a test”.")
        return _("Follow the steps below, then make the vendor send a test.")
    if _was_refused_last(account):
        return _("The last call was refused; what differs stands below.")
    return ""


def _is_out_of_reach(account: SourceAccount) -> bool:
    is_live = account.mode == AccountMode.LIVE and account.source not in NOT_POSTED
    return is_live and why_unreachable(settings.PUBLIC_URL) == "inside"


def _was_refused_last(account: SourceAccount) -> bool:
    failed, heard = account.last_signature_failure_at, account.last_call_at
    return bool(failed and (heard is None or failed > heard))


def _last_event(account: SourceAccount, zone: str) -> tuple[object, object]:
    calls = InboundCall.objects.filter(account=account).order_by("-received_at")
    last = calls.only("event_key", "state", "cause", "received_at").first()
    if last is None:
        return local(account.last_call_at, zone) or _("never"), ""
    link = format_html(
        '{} <a href="{}">{}</a> {}',
        local(last.received_at, zone),
        reverse("admin:orders_inboundcall_change", args=[last.pk]),
        last.event_key[:60],
        call_standing(last.state),
    )
    return link, last.cause


def _handshake(account: SourceAccount, zone: str) -> list[tuple[str, object, object]]:
    at = account.last_handshake_at
    if at is None:
        return []
    words = _("the vendor's ping or challenge was answered")
    return [(_("Address tested"), local(at, zone), words)]


def _refusals(account: SourceAccount, now: datetime) -> list[tuple[str, object, object]]:
    if not account.signature_failures:
        return []
    at = account.last_signature_failure_at
    words = _("%(n)d, the last one %(when)s") % {
        "n": account.signature_failures,
        "when": phrases.ago(at, now) if at else "?",
    }
    return [(_("Refused calls"), words, account.last_signature_hint)]


def _polling(account: SourceAccount, zone: str) -> list[tuple[str, object, object]]:
    """Whether it is asked for what its calls may have lost, and how the last time ended."""
    name = _("Asked for changes")
    if account.source in NOT_POSTED:
        return []
    made = registry.source_class(account.source)
    lists, answers = made.poll is not Source.poll, made.check_up is not Source.check_up
    if not (lists or answers):
        words = _("not possible; a silence longer than usual is alarmed instead")
        return [(name, words, "")]
    asked = local(account.last_polled_at, zone) or _("never")
    if account.poll_error:
        return [(name, asked, account.poll_error)]
    if not lists:
        return [(name, asked, _("one by one, when an order is late and silent"))]
    try:
        can_ask = source_for(account).poll(timezone.now()) is not None
    except ConfigurationError as problem:
        return [(name, asked, problem.detail)]
    if not can_ask:
        return [(name, asked, _("Fill in the settings for it below, and lost calls are found."))]
    return [(name, asked, "")]


# --- how to connect it --------------------------------------------------------------------------


def connect_panel(key: str, account: SourceAccount | None = None) -> Panel:
    """The address to paste, the steps at the vendor, and what the vendor told for us to paste."""
    setup = registry.source_setup(key)
    context: dict[str, Any] = {
        "title": title_of(key),
        "steps": [_(step) for step in setup.steps],
        "observes": _(setup.observes) if setup.observes else "",
        "is_new": account is None or account.last_call_at is None,
    }
    if account is not None and key not in NOT_POSTED:
        reach = why_unreachable(settings.PUBLIC_URL)
        context |= {
            "url": webhook_url(account),
            "url_label": _("Webhook URL to paste at %(vendor)s") % {"vendor": title_of(key)},
            "is_local": reach == "inside",
            "is_plain": reach == "plain",
            **_notice(account, setup.notice_key),
        }
    return Panel("admin/console/source_connect.html", context)


def _notice(account: SourceAccount, key: str) -> dict[str, Any]:
    """What the vendor's set-up call said for the manager to read."""
    if not key:
        return {}
    calls = InboundCall.objects.filter(account=account, event_key__startswith=key)
    last = calls.only("cause", "received_at").order_by("-received_at").first()
    if last is None:
        return {}
    return {"notice": last.cause, "notice_at": local(last.received_at, account.restaurant.timezone)}


# --- words nobody knows, and what became of them ------------------------------------------------


def words_panel(
    rows: QuerySet[UnknownWord], request: HttpRequest, *, names_accounts: bool
) -> Panel | None:
    """The unknown words of ``rows`` with a select box each; None when there are none."""
    found = list(
        rows.select_related("account__restaurant").order_by("-last_seen_at", "pk")[: MOST_ROWS + 1]
    )
    if not found:
        return None
    kitchens: dict[int, list[tuple[str, str]]] = {}
    owners = {row.account.restaurant_id for row in found if row.about == LOCATION}
    for place in Location.objects.filter(restaurant_id__in=owners).order_by("name"):
        choice = (f"{KITCHEN}{place.pk}", place.name)
        kitchens.setdefault(place.restaurant_id, []).append(choice)
    return Panel(
        "admin/console/unknown_words.html",
        {
            "rows": [_word_row(row, kitchens) for row in found[:MOST_ROWS]],
            "left": rows.count() - MOST_ROWS if len(found) > MOST_ROWS else 0,
            "names_accounts": names_accounts,
            "action": reverse("admin:orders_sourceaccount_words"),
            "back": request.get_full_path(),
        },
    )


def _word_row(row: UnknownWord, kitchens: dict[int, list[tuple[str, str]]]) -> dict[str, Any]:
    account, zone = row.account, row.account.restaurant.timezone
    is_place = row.about == LOCATION
    return {
        "name": f"word-{row.pk}",
        "account": account.name,
        "word": row.word,
        "place": _("a kitchen") if is_place else place_word(account.source, row.stream),
        "times": row.times,
        "first": local(row.first_seen_at, zone),
        "last": local(row.last_seen_at, zone),
        "call": row.call_id,
        "choices": kitchens.get(account.restaurant_id, []) if is_place else meaning_choices(),
    }


def place_word(source: str, stream: str) -> str:
    """Where a source says something, for people."""
    known = registry.source_setup(source).streams
    return f"{_(known[stream])} ({stream})" if stream in known else stream


def history_panel(account: SourceAccount) -> list[Panel]:
    """Every version of the status map, the newest first; nothing while there was no change."""
    changes = StatusMapChange.objects.filter(account=account).order_by("-version", "stream", "word")
    found: Sequence[StatusMapChange] = list(changes[: MOST_ROWS + 1])
    if not found:
        return []
    zone = account.restaurant.timezone
    rows = [
        {
            "when": local(change.changed_at, zone),
            "who": change.changed_by,
            "word": change.word,
            "place": place_word(account.source, change.stream),
            "before": meaning_word(change.before),
            "after": meaning_word(change.after),
        }
        for change in found[:MOST_ROWS]
    ]
    left = changes.count() - MOST_ROWS if len(found) > MOST_ROWS else 0
    return [Panel("admin/console/status_map_history.html", {"rows": rows, "left": left})]
