"""Pages that show what was told: the guest's order page and the staff's timeline of an order."""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from consents import choices
from notifications import linking
from notifications.history import history_of
from notifications.page_data import ToldLine, told_lines
from notifications.timeline import answers, rows
from notifications.words import channel_word
from orders.board import staff_order
from orders.live import live_answer
from orders.models import Order
from orders.page_data import OrderPage, order_page, restaurant_ids_of, version_of


@require_GET
@never_cache
def guest_order(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The page behind the link in every message. Whoever has the link may see it."""
    page, told = _page(public_id)
    context = {
        "page": page,
        "told": told,
        "version": version_of((page, told)),
        "announce": _announce(page),
        **({} if page.is_over else _ways(public_id)),
        **_mute(public_id),
    }
    return render(request, "orders/order.html", context)


@require_GET
def guest_order_live(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The moving part of the page as JSON, 304 when nothing changed."""
    page, told = _page(public_id)
    return live_answer(
        request,
        version=version_of((page, told)),
        is_open=not page.is_over,
        announce=_announce(page),
        template="orders/order_live.html",
        context={"page": page, "told": told},
    )


@require_POST
def mute_order(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Whoever has the link may silence this order, and this one only, or undo that."""
    page, _told = _page(public_id)
    order = Order.objects.only("public_id", "subject_id").get(public_id=page.public_id)
    if order.subject_id is not None:
        choices.mute_order(
            subject_id=order.subject_id,
            order_ref=order.public_id,
            is_muted=request.POST.get("do") == "mute",
        )
    return redirect("order-page", public_id=public_id)


def _mute(public_id: uuid.UUID) -> dict[str, object]:
    """Whether news of this order is muted; nothing where nobody is told of it."""
    order = Order.objects.select_related("restaurant").get(public_id=public_id)
    if order.subject_id is None:
        return {}
    muted = choices.muted_orders(order.subject_id, [order.public_id])
    return {"can_mute": True, "is_muted": bool(muted), "slug": order.restaurant.slug}


def _ways(public_id: uuid.UUID) -> dict[str, object]:
    """Chats and browsers the guest may choose, in words, and where an open page listens."""
    order = Order.objects.only("restaurant_id", "public_id").get(public_id=public_id)
    now = timezone.now()
    ways = [
        {"url": way.url, "public_key": way.public_key, "word": channel_word(way.channel)}
        for way in linking.ways(order, now)
    ]
    return {"ways": ways, "line": linking.live_line(order, now)}


def _page(public_id: uuid.UUID) -> tuple[OrderPage, list[ToldLine]]:
    now = timezone.now()
    page = order_page(public_id, now)
    if page is None:
        raise Http404
    return page, told_lines(page.public_id, now)


def _announce(page: OrderPage) -> str:
    """What a screen reader hears when the state changes; the running minutes are not in it."""
    late = f" {_('Later than planned.')}" if page.is_late else ""
    return f"{page.headline}.{late}"


@require_GET
@never_cache
@login_required
def staff_timeline(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Everything that happened around one order, and why each alert went or did not go."""
    now = timezone.now()
    found = staff_order(public_id, restaurant_ids_of(request.user), now)
    if found is None:
        raise Http404
    history = history_of(found.order)
    context = {
        "ticket": found.ticket,
        "track": found.track,
        "answers": answers(history),
        "rows": rows(history),
    }
    return render(request, "notifications/timeline.html", context)
