"""The console's first page (does everything run, what needs me?) and its navigation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from consents.console import manages_anything
from consents.models import InboxItem
from integrations.contracts import RANK
from notifications.admin.deliveries import DEAD
from notifications.admin.health import SILENT_AFTER
from notifications.dead_routes import dead_routes
from notifications.leads import silent_leads
from notifications.models import Delivery, Heartbeat, ProviderAccount
from notifications.page_data import health_strip, latest_alerts
from orders.models import InboundCall, Order, Restaurant
from orders.page_data import restaurant_ids_of
from orders.phrases import ago, state_word
from orders.status_maps import STUCK

#: whoever manages more restaurants finds their waiting routes in the list of routes
JUDGED = 20


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something a person has to mend: what it is, whom it hits, the one link that mends it."""

    title: str
    text: str
    link: str
    button: str
    #: bad | warn
    tone: str = "bad"


def stylesheet(request: HttpRequest) -> str:
    """The console's own rules beside the theme's."""
    return static("admin_extra/console.css")


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the first page shows."""
    now = timezone.now()
    ids = restaurant_ids_of(request.user)
    open_orders = Order.objects.filter(restaurant_id__in=ids, is_open=True).count()
    return {
        **context,
        "title": _("Home"),
        "has_restaurants": bool(ids),
        "is_superuser": request.user.is_superuser,
        "troubles": troubles(ids, now) if ids else [],
        "open_orders": open_orders,
        "strip": health_strip(ids, now) if ids else [],
        "alerts": latest_alerts(ids, now) if ids else [],
    }


def troubles(restaurant_ids: Sequence[int], now: datetime) -> list[Trouble]:
    """What is wrong with these restaurants, the worst first. 7 queries, 4 more per restaurant."""
    found = [*_silence(now), *_stopped(restaurant_ids)]
    dead = _count_dead(restaurant_ids)
    if dead:
        text = ngettext("%(n)d message did not arrive", "%(n)d messages did not arrive", dead)
        found.append(
            Trouble(
                text % {"n": dead},
                _("Somebody was not told. Decide whether to send again."),
                _list("notifications_delivery", "standing=dead"),
                _("Look at them"),
            )
        )
    stuck = _count_stuck(restaurant_ids)
    if stuck:
        text = ngettext("%(n)d call could not be read", "%(n)d calls could not be read", stuck)
        found.append(
            Trouble(
                text % {"n": stuck},
                _("A source told us something about an order and we could not use it."),
                _list("orders_inboundcall", "standing=stuck"),
                _("See why"),
                "warn",
            )
        )
    inbox = _count_inbox(restaurant_ids)
    if inbox:
        text = ngettext("%(n)d person wrote to us", "%(n)d people wrote to us", inbox)
        found.append(
            Trouble(
                text % {"n": inbox},
                _("Their words need a human eye."),
                _list("consents_inboxitem", "settled_at__isempty=1"),
                _("Read"),
                "warn",
            )
        )
    return [*found, *_silent_leads(restaurant_ids, now), *_waiting_in_vain(restaurant_ids)]


def _silent_leads(restaurant_ids: Sequence[int], now: datetime) -> list[Trouble]:
    return [
        Trouble(
            _("%(name)s must be reached and hears nothing") % {"name": lead.name},
            _("Every phone and mailbox of theirs is muted or dead. Agree on another way."),
            reverse("console-why", args=["subject", lead.subject_id]),
            _("See why"),
            "warn",
        )
        for lead in silent_leads(restaurant_ids, now)
    ]


def _waiting_in_vain(restaurant_ids: Sequence[int]) -> list[Trouble]:
    dead = [dead_routes(pk) for pk in restaurant_ids[:JUDGED]]
    states = {state for routes in dead for waited in routes.values() for state in waited}
    if not states:
        return []
    words = ", ".join(state_word(state) for state in sorted(states, key=lambda s: (RANK[s], s)))
    return [
        Trouble(
            _("Nobody ever says: %(states)s") % {"states": words},
            _(
                "Routes wait for it, so guests are not told. "
                "Press it on the board when it happens, for example Ready."
            ),
            reverse("board"),
            _("Open the board"),
            "warn",
        )
    ]


def _silence(now: datetime) -> list[Trouble]:
    beat = Heartbeat.objects.filter(name="sweep").first()
    if beat is not None and now - beat.at <= SILENT_AFTER:
        return []
    since = _("last heard %(ago)s") % {"ago": ago(beat.at, now)} if beat else _("never heard")
    return [
        Trouble(
            _("The dispatcher is silent (%(since)s)") % {"since": since},
            _("No message leaves. Start “make run”, or the worker and beat of your fleet."),
            _list("notifications_heartbeat"),
            _("See what runs"),
        )
    ]


def _stopped(restaurant_ids: Sequence[int]) -> list[Trouble]:
    accounts = ProviderAccount.objects.filter(restaurant_id__in=restaurant_ids, enabled=True)
    rows = accounts.exclude(stopped_reason="").only("pk", "name", "stopped_reason")
    return [
        Trouble(
            _("%(name)s is stopped") % {"name": row.name},
            row.stopped_reason,
            reverse("admin:notifications_provideraccount_change", args=[row.pk]),
            _("Mend it"),
        )
        for row in rows
    ]


def _count_dead(restaurant_ids: Sequence[int]) -> int:
    rows = Delivery.objects.filter(state__in=DEAD)
    return rows.filter(notification__restaurant_id__in=restaurant_ids).count()


def _count_stuck(restaurant_ids: Sequence[int]) -> int:
    rows = InboundCall.objects.filter(state__in=STUCK)
    return rows.filter(account__restaurant_id__in=restaurant_ids).count()


def _count_inbox(restaurant_ids: Sequence[int]) -> int:
    groups = Restaurant.objects.filter(pk__in=restaurant_ids).values("sender_group")
    return InboxItem.objects.filter(settled_at=None, sender_group__in=groups).count()


# --- navigation -------------------------------------------------------------------------------


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: what happened, what we say, with whom we are connected, who agreed."""
    if not manages_anything(request.user):
        return []
    ids = restaurant_ids_of(request.user)
    groups = [
        {
            "items": [
                {"title": _("Home"), "icon": "home", "link": reverse("admin:index")},
                {"title": _("Board"), "icon": "dashboard", "link": reverse("board")},
                _item(_("Orders"), "receipt_long", "orders_order"),
            ]
        },
        _group(
            _("Needs a person"),
            _item(
                _("Did not arrive"),
                "mark_email_unread",
                "notifications_delivery",
                "standing=dead",
                _count_dead(ids),
            ),
            _item(
                _("Could not be read"),
                "quick_reference_all",
                "orders_inboundcall",
                "standing=stuck",
                _count_stuck(ids),
            ),
            _item(
                _("Inbox"),
                "inbox",
                "consents_inboxitem",
                "settled_at__isempty=1",
                _count_inbox(ids),
            ),
        ),
        _group(
            _("What we say"),
            _item(_("Decisions"), "psychology_alt", "notifications_notification"),
            _item(_("Messages"), "send", "notifications_delivery"),
            _item(_("Replies"), "forum", "notifications_inboundmessage"),
            _item(_("Routes"), "alt_route", "notifications_route"),
            _item(_("Words"), "edit_note", "notifications_messagetemplate"),
        ),
        _group(
            _("Connections"),
            _item(_("Message accounts"), "outbox", "notifications_provideraccount"),
            _item(_("Order sources"), "move_to_inbox", "orders_sourceaccount"),
            _item(_("API keys"), "key", "orders_apikey"),
        ),
        _group(
            _("Consent"),
            _item(_("Who may be told"), "how_to_reg", "consents_consentstate"),
            _item(_("Ledger"), "history_edu", "consents_consentevent"),
            _item(_("Left alone"), "do_not_disturb_on", "consents_suppression"),
            _item(_("People"), "group", "consents_subject"),
            _item(_("Addresses"), "contacts", "consents_contactaddress"),
            _item(_("Requests"), "privacy_tip", "consents_rightsrequest"),
            _item(_("Lists taken over"), "upload_file", "consents_consentimport"),
            _item(_("Looks"), "visibility", "consents_addressreveal"),
            _item(_("Notices"), "description", "consents_noticeversion"),
            _item(_("Rules"), "gavel", "consents_policypack"),
            collapsible=True,
        ),
        _group(_("Records"), *_records(), collapsible=True),
        _group(_("Set up"), *_setup(request), collapsible=True),
    ]
    return [group for group in groups if group["items"]]


def _records() -> list[dict[str, Any]]:
    return [
        _item(_("Calls"), "call_received", "orders_inboundcall"),
        _item(_("Statements"), "record_voice_over", "orders_observation"),
        _item(_("Changes"), "timeline", "orders_orderevent"),
        _item(_("Attempts"), "outgoing_mail", "notifications_attempt"),
        _item(_("Receipts"), "mark_email_read", "notifications_receipt"),
        _item(_("Heartbeats"), "monitor_heart", "notifications_heartbeat"),
        _page(_("Who changed what"), "manage_history", reverse("console-changes")),
        _item(_("Cleared out"), "auto_delete", "consents_retentionrun"),
        _item(_("Checkpoints"), "verified", "consents_ledgercheckpoint"),
    ]


def _setup(request: HttpRequest) -> list[dict[str, Any]]:
    items = [
        _item(_("Restaurants"), "storefront", "orders_restaurant"),
        _item(_("Kitchens"), "skillet", "orders_location"),
        _item(_("Managers"), "badge", "orders_membership"),
        _item(_("Sellers"), "store", "consents_sendergroup"),
    ]
    if request.user.is_superuser:
        items += [
            _item(_("Users"), "person", "auth_user"),
            _item(_("Periodic tasks"), "schedule", "django_celery_beat_periodictask"),
        ]
    return items


def _group(title: str, *items: dict[str, Any], collapsible: bool = False) -> dict[str, Any]:
    return {"title": title, "collapsible": collapsible, "items": list(items)}


def _item(title: str, icon: str, stem: str, query: str = "", count: int = 0) -> dict[str, Any]:
    item: dict[str, Any] = {
        "title": title,
        "icon": icon,
        "link": _list(stem, query),
        "active": _Active(_list(stem), query),
    }
    return {**item, "badge": str(count), "badge_variant": "danger"} if count else item


def _page(title: str, icon: str, url: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": url, "active": _Active(url, "")}


class _Active:
    """Whether the sidebar marks an item: two items may lead to one list with other filters."""

    def __init__(self, path: str, query: str) -> None:
        self.path, self.query = path, query

    def __call__(self, request: HttpRequest) -> bool:
        if not request.path.startswith(self.path):
            return False
        asked = request.META.get("QUERY_STRING", "")
        if self.query:
            return self.query in asked
        return not any(one in asked for one in ("standing=dead", "standing=stuck"))


def _list(stem: str, query: str = "") -> str:
    url = reverse(f"admin:{stem}_changelist")
    return f"{url}?{query}" if query else url
