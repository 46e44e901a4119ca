"""A test event on demand: the sandbox speaks for the vendor, over HTTP, to our own address.

Only sandbox accounts: what a live account gets must come from its vendor.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from integrations import http, registry
from integrations.contracts import HttpRequest
from integrations.errors import IntegrationError
from orders import phrases
from orders.models import InboundCall, Location, SourceAccount
from orders.models.source import AccountMode
from orders.selectors import webhook_url

#: a thin event is read once its order was fetched: this long a page waits for that
WAIT_S = 6.0
_STEP_S = 0.15
_UNSETTLED = ("received", "waiting")
#: calls that may have come while the test was under way
_MOST_CALLS = 50
#: sources nobody posts to
NOT_POSTED = frozenset({"rest", "manual"})


class NotPossible(Exception):
    """No test could be sent; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a test event."""

    #: what our address answered; 0 = it could not be reached
    status: int
    call: InboundCall | None = None
    #: why it was refused, or could not be reached
    problem: str = ""


def send_trial(*, account: SourceAccount, now: datetime) -> Tried:
    """Let the sandbox post a signed test order to ``account`` and wait for what becomes of it.

    Raises NotPossible.
    """
    if account.mode != AccountMode.SANDBOX:
        raise NotPossible(registry.source_setup(account.source).live_test)
    if account.source in NOT_POSTED:
        raise NotPossible("nobody posts to this source")
    if not account.enabled:
        raise NotPossible("the connection is switched off")
    told = _ask_sandbox(
        "try",
        {
            **_registration(account),
            "number": f"T-{now.astimezone(phrases.zone(account.restaurant.timezone)):%H%M%S}",
            "places": _places(account),
        },
    )
    status = int(told.get("status") or 0)
    if status == 0:
        return Tried(0, problem=str(told.get("answer") or ""))
    if status == 401:
        account.refresh_from_db(fields=["last_signature_hint"])
        return Tried(401, problem=account.last_signature_hint)
    return Tried(status, _settled(account, str(told.get("about") or ""), now))


def register_with_sandbox(accounts: Iterable[SourceAccount]) -> int:
    """Tell the sandbox which sandbox accounts exist; returns how many it took. Absent is fine."""
    taken = 0
    for account in accounts:
        if account.mode != AccountMode.SANDBOX or account.source in NOT_POSTED:
            continue
        try:
            _ask_sandbox("accounts", _registration(account))
        except NotPossible:
            continue
        taken += 1
    return taken


def _registration(account: SourceAccount) -> dict[str, Any]:
    host = "127.0.0.1" if settings.HOST in ("0.0.0.0", "::") else settings.HOST  # noqa: S104
    return {
        "vendor": account.source,
        "settings": account.settings,
        "webhook_url": webhook_url(account),
        "deliver_to": f"http://{host}:{settings.PORT}/hooks/orders/{account.token}/",
    }


def _places(account: SourceAccount) -> list[str]:
    """The names of the kitchen an order would go to; of any kitchen where the account has none."""
    kitchens = Location.objects.filter(restaurant_id=account.restaurant_id).order_by("pk")
    if account.location_id:
        kitchens = kitchens.filter(pk=account.location_id)
    return [name for kitchen in kitchens for name in kitchen.external_ids]


def _ask_sandbox(path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = HttpRequest.post(f"{settings.SANDBOX_URL}/_sandbox/{path}", json_body=body)
    try:
        answer = http.run(http.http_door().send(request, provider="sandbox"))
    except IntegrationError:
        raise NotPossible(
            f"the sandbox does not answer at {settings.SANDBOX_URL}; “make run” starts it"
        ) from None
    told = answer.json_object()
    if answer.status >= 400:
        raise NotPossible(str(told.get("error") or f"the sandbox answered HTTP {answer.status}"))
    return told


def _settled(account: SourceAccount, about: str, began: datetime) -> InboundCall | None:
    """The call that names ``about``, as it stands once it was read, or when nobody can wait."""
    since = began - timedelta(seconds=1)
    calls = InboundCall.objects.filter(account=account, received_at__gte=since)
    newest = list(calls.order_by("-pk")[:_MOST_CALLS])
    call = next((row for row in newest if about.encode() in bytes(row.body)), None)
    until = time.monotonic() + WAIT_S
    while call is not None and call.state in _UNSETTLED and time.monotonic() < until:
        time.sleep(_STEP_S)
        call.refresh_from_db(fields=["state", "cause", "order"])
    return call
