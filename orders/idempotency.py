"""Idempotency-Key: a repeated write gets the first answer instead of happening again.

The claim of a key is committed before the write begins, so a second request sees it; the write
and its stored answer are one transaction, so a key is either answered or free again. A write that
was refused stores nothing: the caller may correct it and use the key again. (A refusal that is
answered instead of raised is kept like any answer: the try itself was recorded.)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders.api_keys import key_of
from orders.api_problems import Problem, invalid
from orders.models import ApiKey, IdempotentCall

#: a stored answer is replayed this long; then the key is new again
KEPT_FOR = timedelta(hours=24)
#: a claim without an answer is abandoned after this: its process died
CLAIM_LASTS = timedelta(seconds=60)
HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_LONGEST_KEY = 255
_KEPT_HEADERS = ("Location",)

View = TypeVar("View", bound=APIView)
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The first answer, byte for byte."""

    status: int
    text: str
    headers: Mapping[str, str]


def idempotent(
    method: Callable[Concatenate[View, Request, P], Response],
) -> Callable[Concatenate[View, Request, P], HttpResponseBase]:
    """Make a write method of a view honour the Idempotency-Key header; it runs in a transaction."""

    def guarded(
        view: View, request: Request, /, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        key = _idempotency_key(request)
        if key is None:
            with transaction.atomic():
                return method(view, request, *args, **kwargs)
        api_key = key_of(request)
        claimed = claim_call(
            api_key=api_key, key=key, fingerprint=fingerprint(request), now=timezone.now()
        )
        if isinstance(claimed, StoredAnswer):
            return _replay(claimed)
        try:
            with transaction.atomic():
                response = method(view, request, *args, **kwargs)
                store_answer(claim=claimed, answer=_answer_of(response))
        except BaseException:
            release_call(claim=claimed)
            raise
        return response

    update_wrapper(guarded, method)
    return guarded


def fingerprint(request: Request) -> str:
    """SHA-256 of what the request asks: method, address, query and the body's JSON value."""
    asked = [request.method, request.path, request.META.get("QUERY_STRING", ""), request.data]
    try:
        text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise Problem("malformed-body", "the body is nested too deeply") from None
    return hashlib.sha256(text.encode()).hexdigest()


def claim_call(
    *, api_key: ApiKey, key: str, fingerprint: str, now: datetime
) -> IdempotentCall | StoredAnswer:
    """Claim ``key`` for one run of the request, or return the answer it got before.

    Raises Problem: request-in-flight while another run holds the claim, idempotency-key-reused
    when the key was given to another request.
    """
    for _ in range(3):  # the row may be released or taken over between two statements
        claim = _insert_claim(api_key=api_key, key=key, fingerprint=fingerprint)
        if claim is not None:
            return claim
        row = IdempotentCall.objects.filter(api_key=api_key, key=key).first()
        if row is None:
            continue
        lifetime = CLAIM_LASTS if row.status is None else KEPT_FOR
        if now - row.created_at >= lifetime:
            if _take_over(row, fingerprint=fingerprint, now=now):
                return row
            continue
        if row.fingerprint != fingerprint:
            raise _refused(
                "idempotency-key-reused",
                "the key was first used with another method, address or body",
            )
        if row.status is not None:
            return _stored(row)
        break
    raise _refused(
        "request-in-flight",
        "the first request with this key has not been answered yet",
        headers={"Retry-After": "1"},
    )


def store_answer(*, claim: IdempotentCall, answer: StoredAnswer) -> None:
    """Keep ``answer`` for repetitions; part of the write's transaction.

    Raises Problem (request-in-flight) when the claim ran out and another run took it over, which
    undoes this run's write.
    """
    stored = _mine(claim).update(
        status=answer.status, response={"text": answer.text, "headers": dict(answer.headers)}
    )
    if not stored:
        raise _refused("request-in-flight", "this run took too long; another one took over")


def release_call(*, claim: IdempotentCall) -> None:
    """Free the key of a write that did not happen."""
    _mine(claim).delete()


def delete_expired_calls(*, now: datetime) -> int:
    """Forget answers older than a day; returns how many."""
    deleted, _ = IdempotentCall.objects.filter(created_at__lte=now - KEPT_FOR).delete()
    return deleted


def _insert_claim(*, api_key: ApiKey, key: str, fingerprint: str) -> IdempotentCall | None:
    claim = IdempotentCall(api_key=api_key, key=key, fingerprint=fingerprint)
    try:
        with transaction.atomic():
            claim.save(force_insert=True)
    except IntegrityError:
        return None
    return claim


def _take_over(row: IdempotentCall, *, fingerprint: str, now: datetime) -> bool:
    """Make ``row`` our claim unless somebody else was faster; created_at tells claims apart."""
    taken = IdempotentCall.objects.filter(
        pk=row.pk, created_at=row.created_at, status=row.status
    ).update(fingerprint=fingerprint, created_at=now, status=None, response=None)
    row.created_at, row.fingerprint, row.status, row.response = now, fingerprint, None, None
    return bool(taken)


def _mine(claim: IdempotentCall) -> QuerySet[IdempotentCall]:
    return IdempotentCall.objects.filter(
        pk=claim.pk, created_at=claim.created_at, status__isnull=True
    )


def _stored(row: IdempotentCall) -> StoredAnswer:
    kept: dict[str, Any] = row.response or {}
    return StoredAnswer(row.status or 200, kept.get("text", ""), kept.get("headers", {}))


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        wrong = f"must be 1 to {_LONGEST_KEY} printable ASCII characters"
        raise invalid([{"header": HEADER, "detail": wrong, "code": "invalid"}])
    return key


def _refused(code: str, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    return Problem(
        code,
        detail,
        errors=[{"header": HEADER, "detail": detail, "code": code}],
        headers=headers,
    )


def _answer_of(response: Response) -> StoredAnswer:
    headers = {name: response[name] for name in _KEPT_HEADERS if name in response}
    return StoredAnswer(
        response.status_code, JSONRenderer().render(response.data).decode(), headers
    )


def _replay(answer: StoredAnswer) -> HttpResponse:
    return HttpResponse(
        answer.text,
        status=answer.status,
        content_type="application/problem+json" if answer.status >= 400 else "application/json",
        headers={**answer.headers, REPLAYED: "true"},
    )
