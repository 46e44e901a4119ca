"""How pages say channels, delivery states and reasons. Pure; every word passes gettext."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from notifications.models import DeliveryState
from orders import phrases


def channel_word(channel: str) -> str:
    """A channel as people call it: "text message"."""
    words = {
        "sms": _("text message"),
        "email": _("e-mail"),
        "whatsapp": "WhatsApp",
        "messenger": "Messenger",
        "telegram": "Telegram",
        "push": _("app notification"),
        "web_push": _("browser notification"),
        "realtime": _("live page"),
        "team_chat": _("team chat"),
        "crm": "CRM",
        "helpdesk": _("help desk"),
        "commerce": _("shop system"),
        "automation": _("automation"),
        "webhook": _("webhook"),
    }
    return words.get(channel, channel.replace("_", " "))


def delivery_word(state: str) -> str:
    """A delivery state in a word or two."""
    words = {
        DeliveryState.WAITING: _("held in reserve"),
        DeliveryState.QUEUED: _("waiting to leave"),
        DeliveryState.CLAIMED: _("about to leave"),
        DeliveryState.SENDING: _("leaving now"),
        DeliveryState.ACCEPTED: _("sent"),
        DeliveryState.DELIVERED: _("delivered"),
        DeliveryState.READ: _("read"),
        DeliveryState.FAILED: _("failed"),
        DeliveryState.EXPIRED: _("too late, not sent"),
        DeliveryState.CANCELLED: _("cancelled before sending"),
        DeliveryState.SUPERSEDED: _("replaced by a newer message"),
        DeliveryState.UNKNOWN: _("sent, outcome unknown"),
    }
    return words.get(DeliveryState(state), state)


def delivery_tone(state: str) -> str:
    """good | warn | bad | quiet"""
    if state in (DeliveryState.ACCEPTED, DeliveryState.DELIVERED, DeliveryState.READ):
        return "good"
    if state in (DeliveryState.FAILED, DeliveryState.EXPIRED):
        return "bad"
    return "warn" if state == DeliveryState.UNKNOWN else "quiet"


def reason_word(reason: str) -> str:
    """Why a delivery ended, in words; an unknown code is shown as it is, without underscores."""
    words = {
        "acknowledged": _("somebody acknowledged it"),
        "account_stopped": _("the account was stopped, another way is tried"),
        "consent_withdrawn": _("the guest withdrew consent"),
        "needs_decision": _("somebody must decide whether to send it again"),
        "no_consent": _("no consent for this channel"),
        "not_needed": _("an earlier step had arrived"),
        "opted_out": _("the vendor says this person opted out"),
        "outcome_unknown": _("the vendor never answered"),
        "rate_limited": _("the vendor asked us to slow down"),
        "rejected": _("the vendor refused the text"),
        "resent_after_unknown": _("sent once more, because nobody knows whether it arrived"),
        "transient": _("the vendor could not be reached"),
        "unreachable": _("nobody can be reached at this address"),
    }
    return words.get(reason, reason.replace("_", " "))


def event_words(
    kind: str, milestone: str, data: Mapping[str, Any], fulfillment: str = "pickup"
) -> str:
    """What an order event says, in a few words: "Ready", "Miso bowl ready (2 of 3)"."""
    stem = milestone.partition(":")[0]
    if kind == "status_changed":
        return _staff_news(stem) or phrases.state_word(milestone, fulfillment)
    if kind == "part_status_changed":
        return _part_words(data)
    if kind in ("order_edited", "order_split"):
        sentence = str(data.get("sentence") or "")
        word = _("Order changed") if kind == "order_edited" else _("Order split")
        word = _("Paid back") if stem == "refunded" else word
        return f"{word}: {sentence}" if sentence else word
    if kind == "order_delayed":
        words = {
            "delayed": _("Running late"),
            "earlier": _("Earlier than last told"),
            "overdue": _("Overdue without a new time"),
            "stalled": _("No progress for too long"),
        }
        return words.get(stem, _("Running late"))
    if kind == "eta_changed" and data.get("rescheduled"):
        return _("Rescheduled")
    return {
        "eta_changed": _("New estimate"),
        "status_requested": _("Asked where the order is"),
        "customer_message": _("A guest wrote"),
        "reply": _("Answer"),
        "link": _("Link they asked for"),
        "alarm": _("Alarm"),
    }.get(kind, kind.replace("_", " ").capitalize())


def _staff_news(milestone: str) -> str:
    """Milestones that are no state: what staff must look at; "" for states."""
    return {
        "recalled": _("Taken back after it was ready"),
        "conflict": _("The sources disagree"),
        "courier_failed": _("The courier run failed"),
        "after_sale": _("Cancelled or refunded after the hand-over"),
        "united": _("Two orders proved to be one"),
    }.get(milestone, "")


def _part_words(data: Mapping[str, Any]) -> str:
    label = str(data.get("label") or _("A part"))
    ready, total = data.get("ready"), data.get("total")
    words = {"label": label, "ready": ready, "total": total}
    if ready and total:
        return _("%(label)s ready (%(ready)s of %(total)s)") % words
    return _("%(label)s ready") % words
