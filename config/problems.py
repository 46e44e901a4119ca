"""Errors of the REST API as problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from rest_framework import exceptions as rest

from orders.api_problems import PROBLEM_TYPES, Problem, body_errors, invalid, problem_body

CONTENT_TYPE = "application/problem+json"

#: first match wins, so subclasses stand before their bases
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (rest.ParseError, "malformed-body"),
    (rest.NotAuthenticated, "unauthenticated"),
    (rest.AuthenticationFailed, "unauthenticated"),
    (rest.PermissionDenied, "forbidden"),
    (PermissionDenied, "forbidden"),
    (rest.NotFound, "not-found"),
    (Http404, "not-found"),
    (rest.MethodNotAllowed, "method-not-allowed"),
    (rest.NotAcceptable, "not-acceptable"),
    (rest.UnsupportedMediaType, "unsupported-media-type"),
    (rest.Throttled, "rate-limited"),
    (RequestDataTooBig, "body-too-large"),
    (SuspiciousOperation, "bad-request"),
    (BadRequest, "bad-request"),
    (UnreadablePostError, "bad-request"),
)


def problem_json(error: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """The answer for ``error``; None for what is a bug of ours, which then stays loud."""
    problem = _as_problem(error)
    if problem is None:
        return None
    request = context.get("request")
    return problem_response(problem, instance=request.path if request is not None else "")


def problem_response(problem: Problem, *, instance: str) -> JsonResponse:
    """``problem`` as an application/problem+json answer."""
    return JsonResponse(
        problem_body(problem, instance=instance),
        status=problem.status_code,
        headers=problem.headers,
        content_type=CONTENT_TYPE,
    )


def not_found(request: HttpRequest, **_: object) -> JsonResponse:
    """Every address under /api/v1/ that no view answers."""
    problem = Problem("not-found", f"no resource at {request.path}")
    return problem_response(problem, instance=request.path)


def explain(request: HttpRequest, code: str) -> JsonResponse:
    """What one problem type means: the document its ``type`` points to."""
    kind = PROBLEM_TYPES.get(code)
    if kind is None:
        return not_found(request)
    return JsonResponse(
        {
            "code": code,
            "title": kind.title,
            "status": kind.status,
            "explanation": kind.explanation,
        }
    )


def _as_problem(error: Exception) -> Problem | None:
    if isinstance(error, Problem):
        return error
    if isinstance(error, rest.ValidationError):
        return invalid(body_errors(error.detail))
    code = next((code for kind, code in _CODES if isinstance(error, kind)), None)
    if code is None:
        return None
    return Problem(code, _words(error, code), headers=_headers(error))


def _words(error: Exception, code: str) -> str:
    if isinstance(error, RequestDataTooBig):
        return f"the limit is {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes"
    if isinstance(error, rest.APIException) and not isinstance(error, rest.NotFound):
        return str(error.detail)
    return PROBLEM_TYPES[code].explanation


def _headers(error: Exception) -> dict[str, str]:
    headers = {}
    if isinstance(error, rest.NotAuthenticated | rest.AuthenticationFailed):
        challenge: str | None = getattr(error, "auth_header", None)
        headers["WWW-Authenticate"] = challenge or "Bearer"
    wait = getattr(error, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(max(1, round(wait)))
    return headers
