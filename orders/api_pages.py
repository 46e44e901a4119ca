"""Lists of the API: newest first, in pages that neither skip nor repeat while rows arrive.

A cursor names the last row seen (its time and id), not a position, so a page costs the same
however deep it is.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from orders.api_fields import TextField
from orders.api_problems import invalid

DEFAULT_LIMIT = 25
LARGEST_LIMIT = 100

Row = TypeVar("Row", bound=Model)


class PageQuery(serializers.Serializer[Any]):
    """The query parameters every list takes."""

    limit = serializers.IntegerField(
        min_value=1, max_value=LARGEST_LIMIT, default=DEFAULT_LIMIT, help_text="rows of one page"
    )
    cursor = TextField(required=False, max_length=200, help_text="next_cursor of the page before")


class PageOut(serializers.Serializer[Any]):
    """What every list answers; subclasses declare ``data``."""

    object = serializers.CharField(help_text="always 'list'")
    has_more = serializers.BooleanField()
    next_cursor = serializers.CharField(allow_null=True)
    next = serializers.URLField(allow_null=True, help_text="the next page, ready to follow")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page and where the next one begins."""

    data: list[Row]
    has_more: bool
    next_cursor: str | None
    next: str | None
    object: str = "list"


def read_query(request: Request, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """The query parameters as ``kind`` reads them; raises Problem naming each wrong one."""
    query = kind(data=request.query_params.dict())
    errors = [
        {"parameter": name, "detail": "is not a known parameter", "code": "unknown_parameter"}
        for name in request.query_params
        if name not in query.fields
    ]
    if not query.is_valid():
        errors += [
            {"parameter": name, "detail": str(words[0]), "code": words[0].code}
            for name, words in query.errors.items()
        ]
    if errors:
        raise invalid(errors)
    values: dict[str, Any] = query.validated_data
    return values


def page_of(rows: QuerySet[Row], request: Request, query: Mapping[str, Any]) -> Page[Row]:
    """One page of ``rows``, newest first; two rows of one moment are told apart by their id."""
    limit: int = query["limit"]
    if query.get("cursor"):
        at, pk = _read_cursor(query["cursor"], rows.model)
        rows = rows.filter(Q(created_at__lt=at) | Q(created_at=at, pk__lt=pk))
    found = list(rows.order_by("-created_at", "-pk")[: limit + 1])
    data, has_more = found[:limit], len(found) > limit
    if not has_more:
        return Page(data, has_more=False, next_cursor=None, next=None)
    cursor = _cursor_after(data[-1])
    parameters = urlencode({**request.query_params.dict(), "cursor": cursor})
    link = f"{settings.PUBLIC_URL}{request.path}?{parameters}"
    return Page(data, has_more=True, next_cursor=cursor, next=link)


def _cursor_after(row: Model) -> str:
    created_at: datetime = row.created_at  # type: ignore[attr-defined]
    text = f"{created_at.isoformat()}|{row.pk}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, model: type[Model]) -> tuple[datetime, int | uuid.UUID]:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        moment, _, key = raw.partition("|")
        at = datetime.fromisoformat(moment)
        pk = uuid.UUID(key) if model._meta.pk.get_internal_type() == "UUIDField" else int(key)
        if at.tzinfo is None or (isinstance(pk, int) and not 0 <= pk < 2**63):
            raise ValueError("no cursor of ours")
    except (ValueError, OverflowError, binascii.Error):
        raise invalid(
            [{"parameter": "cursor", "detail": "is not a cursor of this list", "code": "invalid"}]
        ) from None
    return at, pk
