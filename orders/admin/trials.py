"""What came of a test event, in words, with a link to where it can be seen."""

from __future__ import annotations

from django.contrib import messages
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from orders.admin.calls import link_to_order
from orders.models import InboundCall
from orders.try_out import Tried


def said_of_trial(tried: Tried) -> tuple[int, str]:
    """The message level and words."""
    if tried.status == 0:
        text = _("Our own address could not be reached (%(why)s). Check HOST and PORT.")
        return messages.ERROR, text % {"why": tried.problem}
    if tried.status == 401:
        return messages.ERROR, _("Our address refused it: %(why)s.") % {"why": tried.problem}
    if tried.call is None:
        text = _("Our address answered HTTP %(status)d and kept nothing.")
        return messages.WARNING, text % {"status": tried.status}
    return _said_of_call(tried.call)


def _said_of_call(call: InboundCall) -> tuple[int, str]:
    url = reverse("admin:orders_inboundcall_change", args=[call.pk])
    link = format_html('<a href="{}">{}</a>', url, _("See the call"))
    if call.state == "applied" and call.order is not None:
        text = _("It arrived, was believed and became order {order}. {call}")
        return messages.SUCCESS, format_html(text, order=link_to_order(call), call=link)
    known = {
        "parked": _(
            "It arrived and was believed. Courier news waits two days for its order. {call}"
        ),
        "ignored": _("It arrived, was believed, and says nothing about an order. {call}"),
        "waiting": _(
            "It arrived and was believed; its details are still being fetched. Does the worker "
            "run? {call}"
        ),
    }
    text = known.get(call.state, _("It arrived and was believed, but could not be used. {call}"))
    level = messages.SUCCESS if call.state in ("parked", "ignored") else messages.WARNING
    cause = "" if call.state == "parked" else call.cause
    return level, format_html("{} {}", format_html(text, call=link), cause)
