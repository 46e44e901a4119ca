"""What the guest's order page asks of us: browser notifications on and off, and their worker."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from consents import chosen
from consents.models import ContactAddress
from integrations.contracts import Channel
from integrations.errors import RecipientUnreachable
from integrations.payloads import sha256
from integrations.providers.web_push import WebPush
from notifications import linking
from notifications.selectors import AccountView, provider_for, restaurant_config
from orders.models import Order

_LONGEST = 4096
#: browsers one guest may subscribe; more is no guest
_MOST_BROWSERS = 10


@require_GET
def service_worker(request: HttpRequest) -> HttpResponse:
    """The worker that shows notifications; served from the root so that it may serve all pages."""
    path = Path(settings.BASE_DIR) / "static" / "notifications" / "sw.js"
    response = HttpResponse(path.read_bytes(), content_type="text/javascript; charset=utf-8")
    response.headers["Cache-Control"] = "max-age=0, must-revalidate"
    return response


@require_POST
def subscribe(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """A browser's PushSubscription as JSON: news of this guest's orders goes there too."""
    order = _order(public_id)
    account = linking.browser_account(restaurant_config(order.restaurant_id), timezone.now())
    if account is None:
        raise Http404
    value = _subscription(request, account)
    if value is None:
        return _problem(400, _("This is no subscription of a browser."))
    if _count(order) >= _MOST_BROWSERS:
        return _problem(409, _("Too many browsers for one guest. Switch one off first."))
    now = timezone.now()
    # pressed again after a no, it is another act
    act = f"{_key(value)}:{int(now.timestamp() * 1000)}"
    found = linking.choose(order=order, account=account, value=value, key=act, now=now)
    if found is None:
        return _problem(409, _("This order is too old."))
    return JsonResponse({"on": True})


@require_POST
def unsubscribe(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The same browser wants no more."""
    order = _order(public_id)
    config = restaurant_config(order.restaurant_id)
    account = linking.browser_account(config, timezone.now())
    value = _subscription(request, account) if account else None
    if value is None:
        return _problem(400, _("This is no subscription of a browser."))
    now = timezone.now()
    chosen.leave_way(
        sender_group_id=config.sender_group_id,
        channel=Channel.WEB_PUSH,
        value=value,
        at=now,
        idempotency_key=f"left:{_key(value)}:{int(now.timestamp() * 1000)}",
    )
    return JsonResponse({"on": False})


def _order(public_id: uuid.UUID) -> Order:
    order = Order.objects.filter(public_id=public_id).first()
    if order is None:
        raise Http404
    return order


def _subscription(request: HttpRequest, account: AccountView) -> str | None:
    """The one form of a subscription we keep; None for anything a push could not be sent to."""
    provider = provider_for(account)
    body = request.body
    if len(body) > _LONGEST or not isinstance(provider, WebPush):
        return None
    try:
        found = provider.subscription(body.decode())
    except (RecipientUnreachable, UnicodeDecodeError):
        return None
    keys: dict[str, Any] = {"p256dh": found.p256dh, "auth": found.auth}
    return json.dumps({"endpoint": found.endpoint, "keys": keys}, separators=(",", ":"))


def _count(order: Order) -> int:
    if order.subject_id is None:
        return 0
    return ContactAddress.objects.filter(
        subjects=order.subject_id, channel=Channel.WEB_PUSH, unreachable_at=None
    ).count()


def _key(value: str) -> str:
    return sha256(value.encode())[:32]


def _problem(status: int, words: str) -> JsonResponse:
    return JsonResponse({"problem": words}, status=status)
