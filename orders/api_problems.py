"""Every way a REST call can be refused: the problem types of RFC 9457, with their words.

A problem's ``type`` is an address that answers with the explanation below. Codes never change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.conf import settings
from rest_framework.exceptions import APIException


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of refusal: what it is called, its HTTP status, and what the caller can do."""

    status: int
    title: str
    explanation: str


PROBLEM_TYPES: Mapping[str, ProblemType] = {
    "malformed-body": ProblemType(
        400,
        "The body is not readable JSON",
        "Send one JSON value in UTF-8, without NaN or Infinity.",
    ),
    "bad-request": ProblemType(
        400, "The request cannot be read", "The request line or a header is not valid HTTP."
    ),
    "unauthenticated": ProblemType(
        401,
        "No valid API key",
        "Send 'Authorization: Bearer ou_...' with a key that is neither mistyped nor revoked.",
    ),
    "forbidden": ProblemType(
        403,
        "The API key may not do this",
        "The key lacks the scope named in the detail; scopes are set where keys are made.",
    ),
    "source-disabled": ProblemType(
        403,
        "REST updates are switched off",
        "A manager disabled the restaurant's REST source; nothing was changed.",
    ),
    "not-found": ProblemType(
        404,
        "There is nothing at this address",
        "The object does not exist, or it belongs to a restaurant this key cannot see.",
    ),
    "method-not-allowed": ProblemType(
        405, "The address does not take this method", "The Allow header lists the methods."
    ),
    "not-acceptable": ProblemType(
        406, "No acceptable format", "Answers are application/json; ask for that or for */*."
    ),
    "request-in-flight": ProblemType(
        409,
        "A request with this Idempotency-Key is still running",
        "Repeat the same request after the seconds in Retry-After to get its answer.",
    ),
    "consent-refused": ProblemType(
        409,
        "The person's own refusal stands",
        "Only the person can undo it: by START from their phone, or on their own page. "
        "The try is on record and changed nothing.",
    ),
    "body-too-large": ProblemType(
        413, "The body is too large", "Send at most the number of bytes named in the detail."
    ),
    "unsupported-media-type": ProblemType(
        415, "The body's format is not supported", "Send Content-Type: application/json."
    ),
    "invalid-request": ProblemType(
        422,
        "The request is not valid",
        "Each entry of 'errors' names one place: 'pointer' into the body (JSON pointer), "
        "'parameter' of the query or 'header'. Nothing was changed.",
    ),
    "idempotency-key-reused": ProblemType(
        422,
        "This Idempotency-Key was used for another request",
        "A key belongs to one method, address and body for 24 hours; use a new one.",
    ),
    "update-not-applied": ProblemType(
        422,
        "The update cannot be applied",
        "The request is well formed but cannot be applied as it stands; the detail says why.",
    ),
    "rate-limited": ProblemType(
        429, "Too many requests", "Wait for the seconds in the Retry-After header."
    ),
}

#: one entry of ``errors``: detail and code, and where: pointer, parameter or header
ErrorEntry = dict[str, str]


class Problem(APIException):
    """A refusal of one of the types above; ``headers`` travel with the answer."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Iterable[ErrorEntry] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        kind = PROBLEM_TYPES[code]
        super().__init__(detail, code)
        self.code = code
        self.status_code = kind.status
        self.errors = list(errors)
        self.headers = dict(headers or {})


def problem_body(problem: Problem, *, instance: str) -> dict[str, Any]:
    """``problem`` as RFC 9457 writes it."""
    kind = PROBLEM_TYPES[problem.code]
    body: dict[str, Any] = {
        "type": f"{settings.PUBLIC_URL}/api/v1/problems/{problem.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": str(problem.detail),
        "instance": instance,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return body


def invalid(errors: list[ErrorEntry]) -> Problem:
    """The request is not valid at the places ``errors`` names; at least one."""
    where = errors[0].get("pointer") or errors[0].get("parameter") or errors[0].get("header")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem("invalid-request", f"{where}: {errors[0]['detail']}{more}", errors=errors)


def invalid_at(path: Iterable[object], detail: str, code: str = "invalid") -> Problem:
    """The request is not valid at one place of its body."""
    return invalid([{"pointer": pointer(path), "detail": detail, "code": code}])


def pointer(path: Iterable[object]) -> str:
    """``path`` as a JSON pointer in its URI fragment form: ("items", 0) is "#/items/0"."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "#" + "".join(
        "/" + quote(step, safe="~!$&'()*+,;=:@", errors="replace") for step in steps
    )


def body_errors(detail: object, path: tuple[object, ...] = ()) -> list[ErrorEntry]:
    """The leaves of a serializer's nested error detail, each with its place in the body."""
    if isinstance(detail, Mapping):
        found = []
        for key, value in detail.items():
            step = () if key == "non_field_errors" else (key,)
            found += body_errors(value, path + step)
        return found
    if isinstance(detail, list):
        nested = any(isinstance(entry, Mapping | list) for entry in detail)
        found = []
        for index, entry in enumerate(detail):
            found += body_errors(entry, (*path, index) if nested else path)
        return found
    code = str(getattr(detail, "code", "invalid"))
    return [{"pointer": pointer(path), "detail": str(detail), "code": code}]
