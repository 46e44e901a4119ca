"""HTTP as plain values: what leaves, what comes back, what a vendor calls us with."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, complete: what ``show_request`` prints and what http.py sends, unchanged."""

    method: str
    # a chat webhook's URL is a credential, and a body is somebody's message: neither is ever shown
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    #: the URL was typed by a person: http.py refuses private addresses
    untrusted_url: bool = False

    @staticmethod
    def post(
        url: str,
        *,
        json_body: Any = None,
        form: Mapping[str, str] | list[tuple[str, str]] | None = None,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        untrusted_url: bool = False,
    ) -> HttpRequest:
        """A POST with a JSON or form body and, when given, HTTP Basic credentials."""
        merged = dict(headers or {})
        body = b""
        if json_body is not None:
            body = json.dumps(json_body, ensure_ascii=False, separators=(",", ":")).encode()
            merged.setdefault("Content-Type", "application/json; charset=utf-8")
        elif form is not None:
            body = urlencode(form).encode()
            merged.setdefault("Content-Type", "application/x-www-form-urlencoded")
        if auth is not None:
            merged["Authorization"] = basic_auth(*auth)
        return HttpRequest("POST", url, merged, body, untrusted_url)

    @staticmethod
    def get(
        url: str,
        *,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        untrusted_url: bool = False,
    ) -> HttpRequest:
        """A GET, with HTTP Basic credentials when given."""
        merged = dict(headers or {})
        if auth is not None:
            merged["Authorization"] = basic_auth(*auth)
        return HttpRequest("GET", url, merged, b"", untrusted_url)


def basic_auth(user: str, password: str) -> str:
    """The value of an Authorization header for HTTP Basic."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A vendor's answer. Header names are lower case; the body is cut at 1 MiB by http.py."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    duration_ms: int = 0

    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON, or None when it is not JSON (HTML, empty, truncated)."""
        try:
            return json.loads(self.body)
        except (ValueError, UnicodeDecodeError, RecursionError):
            return None

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; anything else is an empty one."""
        value = self.json()
        return value if isinstance(value, dict) else {}

    def retry_after_s(self, *, longest_s: float = 3600.0) -> float | None:
        """Seconds the Retry-After header asks for, between 0 and ``longest_s``.

        None where it asks for nothing usable. A date counts from the answer's own Date: whose
        clock is right does not matter.
        """
        raw = self.headers.get("retry-after", "")
        try:
            seconds = float(raw)
        except ValueError:
            seconds = _seconds_between(self.headers.get("date", ""), raw)
        return min(seconds, longest_s) if seconds >= 0 else None


def _seconds_between(start: str, end: str) -> float:
    """From one date of HTTP to another (RFC 9110, 5.6.7); NaN where one of them is none."""
    try:
        return (parsedate_to_datetime(end) - parsedate_to_datetime(start)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return math.nan


@dataclass(frozen=True, slots=True)
class InboundCall:
    """One HTTP call a vendor made to us, before anybody believed it.

    ``headers`` have lower-case names. ``url`` is the configured public URL of the endpoint with
    the query string as sent (several vendors sign it). ``received_at`` is aware, UTC.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply200:
    """What to answer a vendor when it wants more than an empty 200."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
