"""The staff board: what is open, and the buttons for kitchens whose systems cannot say it."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from integrations.contracts import State
from orders import busy, intake, new_time, phrases
from orders.board import board_tickets, order_of
from orders.live import live_answer
from orders.models import Location, Order
from orders.page_data import restaurant_ids_of

_BUTTONS = frozenset(
    {
        State.PREPARING,
        State.READY,
        State.OUT_FOR_DELIVERY,
        State.PICKED_UP,
        State.DELIVERED,
        State.CANCELLED,
    }
)
_PART_BUTTONS = frozenset({State.PREPARING, State.READY})


@require_GET
@never_cache
@login_required
def board(request: HttpRequest) -> HttpResponse:
    """The open orders of the manager's restaurants."""
    data = board_tickets(restaurant_ids_of(request.user), timezone.now())
    kitchens = busy.kitchens(restaurant_ids_of(request.user), timezone.now())
    context = {"board": data, "kitchens": kitchens, "minutes": busy.EXTRA_MIN}
    return render(request, "orders/board.html", context)


@require_GET
@login_required
def board_live(request: HttpRequest) -> HttpResponse:
    """The board's moving part as JSON, 304 when nothing changed."""
    data = board_tickets(restaurant_ids_of(request.user), timezone.now())
    late = next((item.value for item in data.strip if item.tone == "bad"), "")
    return live_answer(
        request,
        version=data.version,
        is_open=True,
        announce=_("%(n)s orders are late.") % {"n": late} if late else "",
        template="orders/board_live.html",
        context={"board": data},
    )


@require_POST
@login_required
def busy_kitchen(request: HttpRequest, location_id: int) -> HttpResponse:
    """ "Add 15 minutes to everything open", once, or the end of it."""
    mine = Location.objects.filter(restaurant_id__in=restaurant_ids_of(request.user))
    if not mine.filter(pk=location_id).exists():
        raise Http404
    if request.POST.get("deed") == "end":
        busy.end_busy(location_id=location_id)
        messages.success(request, _("Back to normal. Times people were told stay."))
    else:
        said = busy.start_busy(
            location_id=location_id, actor=request.user.get_username(), now=timezone.now()
        )
        messages.success(request, busy.in_words(said))
    return redirect("board")


@require_POST
@login_required
def update_order(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """A button of a ticket: adds one manual observation, like any other source would."""
    order = order_of(public_id, restaurant_ids_of(request.user))
    if order is None:
        raise Http404
    if "in_minutes" in request.POST:
        _take_time(request, order)
        return redirect(f"{reverse('board')}#t-{public_id}")
    state, part_ref = _pressed(request)
    refusal = _refusal(order, state, part_ref)
    if refusal:
        messages.error(request, refusal)
    else:
        intake.add_manual_update(
            order=order,
            state=state,
            part_ref=part_ref,
            actor=request.user.get_username(),
            at=timezone.now(),
        )
        messages.success(request, _said(order, state, part_ref))
    return redirect(f"{reverse('board')}#t-{public_id}")


def _take_time(request: HttpRequest, order: Order) -> None:
    """A button of "New time": how many minutes it still takes."""
    minutes = new_time.offered(request.POST["in_minutes"])
    if minutes is None:
        messages.error(request, _("That button does not exist. Reload the board."))
    elif not new_time.may_have_time(order):
        word = phrases.state_word(order.state, order.fulfillment).lower()
        words = {"order": str(order), "state": word}
        messages.error(request, _("%(order)s is already %(state)s.") % words)
    else:
        actor, now = request.user.get_username(), timezone.now()
        at = new_time.give_time(order=order, minutes=minutes, actor=actor, now=now)
        messages.success(request, new_time.in_words(order, at, now))


def _pressed(request: HttpRequest) -> tuple[str, str]:
    """(state, part reference) of the button: parts have buttons of their own, for "ready"."""
    part_ref = request.POST.get("part_ready", "")
    return (State.READY, part_ref) if part_ref else (request.POST.get("state", ""), "")


def _refusal(order: Order, state: str, part_ref: str) -> str:
    """Why the button cannot be obeyed, "" when it can."""
    words = {
        "order": str(order),
        "state": phrases.state_word(order.state, order.fulfillment).lower(),
    }
    if state not in (_PART_BUTTONS if part_ref else _BUTTONS):
        return _("That button does not exist. Reload the board.")
    if not order.is_open:
        return _("%(order)s is already %(state)s.") % words
    if part_ref and part_ref not in {part.ref for part in order.parts.all()}:
        return _("%(order)s no longer has that part.") % words
    return ""


def _said(order: Order, state: str, part_ref: str) -> str:
    words = {"order": str(order), "state": phrases.state_word(state, order.fulfillment).lower()}
    if not part_ref:
        return _("%(order)s: %(state)s.") % words
    words["part"] = next(str(part) for part in order.parts.all() if part.ref == part_ref)
    return _("%(order)s, %(part)s: %(state)s.") % words
