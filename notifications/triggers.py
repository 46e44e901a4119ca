"""The triggers routes and templates can name, in the words managers know them by."""

from __future__ import annotations

from django.utils.translation import gettext as _

from integrations.contracts import State
from notifications.words import event_words
from orders.phrases import state_word

_DELAYS = ("order_delayed", "order_delayed:earlier", "order_delayed:overdue",
           "order_delayed:stalled")  # fmt: skip
_KINDS = ("part_status_changed", "order_edited", "order_edited:refunded", "order_split",
          "eta_changed", "status_requested")  # fmt: skip
_REPLIES = ("stop_confirmation", "start_confirmation", "help", "no_open_order", "linked")
_LINKS = ("manage", "opt_in", "opt_in_reminder")


def trigger_word(trigger: str) -> str:
    """A trigger in words: "Ready", "Running late"."""
    kind, _sep, milestone = trigger.partition(":")
    if trigger == "status_changed":
        return _("Any other change of state")
    if kind == "status_changed":
        return state_word(milestone)
    fixed = {
        "part_status_changed": _("A part is ready"),
        "held": _("Held for the staff"),
        "reply:stop_confirmation": _("Answer to STOP"),
        "reply:start_confirmation": _("Answer to START"),
        "reply:help": _("Answer to HELP"),
        "reply:no_open_order": _("Asked, but there is no open order"),
        "reply:linked": _("Answer to whoever links a chat"),
        "link:manage": _("Link to all choices"),
        "link:opt_in": _("Asks for confirmation"),
        "link:opt_in_reminder": _("Asks for confirmation once more"),
    }
    return fixed.get(trigger) or event_words(kind, milestone, {})


def route_triggers() -> list[tuple[str, str]]:
    """(trigger, words) a route may react to."""
    names = [
        *(f"status_changed:{state}" for state in State),
        *_KINDS[:1],
        *_DELAYS,
        *_KINDS[1:],
        "customer_message",
        "held",
    ]
    return [(name, trigger_word(name)) for name in names]


def template_triggers() -> list[tuple[str, str]]:
    """(trigger, words) a message template may be for: also our own answers and alarms."""
    answers = (*(f"reply:{name}" for name in _REPLIES), *(f"link:{name}" for name in _LINKS))
    more = ["status_changed", *answers, "alarm"]
    return [*route_triggers(), *((name, trigger_word(name)) for name in more)]
