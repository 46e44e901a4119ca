"""Where sources post their events. Store first, read afterwards, never answer 500.

A stranger learns nothing: unknown and disabled addresses are both 404, and a call with a bad
signature leaves a count and a hint on the account, nothing else.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from integrations import contracts
from integrations.contracts import Reply200, Source
from integrations.errors import ConfigurationError, SignatureInvalid
from integrations.payloads import sha256
from orders import call_rate, calls
from orders.models import SourceAccount
from orders.selectors import account_by_token, as_received, source_for, webhook_url

logger = logging.getLogger(__name__)

#: how exactly the time of the last call is kept
LAST_CALL_STEP = timedelta(seconds=60)
RETRY_AFTER_S = 30


@csrf_exempt
def receive_call(request: HttpRequest, token: str) -> HttpResponse:
    """One call of a source, answered with what that vendor wants to hear."""
    try:
        return _receive(request, token)
    except (OperationalError, InterfaceError):
        logger.warning("orders.webhook_without_database", exc_info=True)
        return HttpResponse(status=503, headers={"Retry-After": str(RETRY_AFTER_S)})


def _receive(request: HttpRequest, token: str) -> HttpResponse:
    account = account_by_token(token)
    if account is None:
        return HttpResponse(status=404)
    source = source_for(account)
    body = _body(request, source.max_body_bytes)
    if isinstance(body, HttpResponse):
        return body
    call = _inbound(request, account, body, timezone.now())
    try:
        if (reply := source.handshake(call)) is not None:
            if reply.status < 300:
                _note_handshake(account, call.received_at)
            return _answer(reply)
        if call.method != "POST":
            return HttpResponse(status=405, headers={"Allow": "POST"})
        source.verify(call)
    except (SignatureInvalid, ConfigurationError) as problem:
        return _refuse(account, getattr(problem, "hint", "") or str(problem), call.received_at)
    except Exception:
        # whatever a stranger sent to make our check stumble, it is not proven to be the vendor's
        logger.exception("orders.verify_failed", extra={"account_id": account.pk})
        return _refuse(account, "the signature could not be checked", call.received_at)
    if wait := call_rate.wait_s(account.pk, most=source.calls_per_minute, now=call.received_at):
        return HttpResponse(status=429, headers={"Retry-After": str(wait)})
    return _accept(account, source, call)


def _accept(account: SourceAccount, source: Source, call: contracts.InboundCall) -> HttpResponse:
    stored = calls.store_call(account=account, call=call, event_key=_event_key(source, call))
    row = stored.row
    if row.state == "received":
        # a row that is not ours is one a crash left behind: its own body counts, not this one
        said = call if stored.is_new else as_received(row, account)
        calls.process_call(account=account, row=row, call=said, now=call.received_at)
    if stored.is_conflict:
        logger.warning("orders.event_key_reused", extra={"call_id": row.pk})
    _note_call(account, call.received_at)
    if row.cause.startswith(calls.UNREADABLE):
        return _answer(source.refuse(call, row.cause.removeprefix(calls.UNREADABLE)))
    return _answer(source.answer(call, duplicate=not stored.is_new))


def _event_key(source: Source, call: contracts.InboundCall) -> str:
    try:
        return source.event_key(call)
    except Exception:
        logger.exception("orders.event_key_failed", extra={"source": source.key})
        return f"body|{sha256(call.body)}"


def _body(request: HttpRequest, limit: int) -> bytes | HttpResponse:
    """The raw body, or 413 (without reading what announces itself as too long)."""
    try:
        announced = int(request.headers.get("Content-Length") or 0)
    except ValueError:
        return HttpResponse(status=400)
    if announced > limit:
        return HttpResponse(status=413)
    try:
        body = request.body
    except RequestDataTooBig:
        return HttpResponse(status=413)
    except UnreadablePostError:
        return HttpResponse(status=400)
    return HttpResponse(status=413) if len(body) > limit else body


def _inbound(
    request: HttpRequest, account: SourceAccount, body: bytes, now: datetime
) -> contracts.InboundCall:
    query = request.META.get("QUERY_STRING", "")
    url = webhook_url(account)
    return contracts.InboundCall(
        method=request.method or "",
        url=f"{url}?{query}" if query else url,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        received_at=now,
        query=request.GET.dict(),
    )


def _refuse(account: SourceAccount, hint: str, at: datetime) -> HttpResponse:
    logger.warning("orders.signature_refused", extra={"account_id": account.pk})
    account.last_signature_failure_at = at
    SourceAccount.objects.filter(pk=account.pk).update(
        signature_failures=F("signature_failures") + 1,
        last_signature_failure_at=at,
        last_signature_hint=hint[:300],
    )
    return HttpResponse(status=401)


def _note_call(account: SourceAccount, at: datetime) -> None:
    """Keep the account's last call to the minute; the silence alarm needs no more.

    At once after a refusal: the page must not call a connection refused that works again.
    """
    last, refused = account.last_call_at, account.last_signature_failure_at
    was_refused = refused is not None and last is not None and refused >= last
    if last is None or was_refused or at - last >= LAST_CALL_STEP:
        account.last_call_at = at
        SourceAccount.objects.filter(pk=account.pk).update(last_call_at=at)


def _note_handshake(account: SourceAccount, at: datetime) -> None:
    """Keep when somebody who knows the address tested it; nothing is believed because of it."""
    last = account.last_handshake_at
    if last is None or at - last >= LAST_CALL_STEP:
        account.last_handshake_at = at
        SourceAccount.objects.filter(pk=account.pk).update(last_handshake_at=at)


def _answer(reply: Reply200) -> HttpResponse:
    response = HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))
    if reply.body:
        response.headers["Content-Type"] = reply.content_type
    return response
