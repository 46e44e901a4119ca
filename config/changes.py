"""Who changed what? The books about settings, newest first, as a page of the console."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from config.models import SECRETS_CHANGED
from consents.console import manages_anything
from orders.models import Restaurant
from orders.page_data import restaurant_ids_of

SHOWN = 50
#: earlier rows of the shown objects that are looked through for what was there before
_LOOKED_BACK = 2000
_LONGEST = 160
_UNSAID = frozenset({"id", "restaurant", "template", "number"})


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the books, in words."""

    at: datetime
    who: str
    what: str
    name: str
    #: added | changed | deleted
    deed: str
    tone: str
    #: (field, before, after)
    fields: list[tuple[str, str, str]]
    page: str


def _book(name: str) -> type[Any]:
    """A table of config/models.py; pghistory makes them."""
    return apps.get_model("config", name)


def _sources(restaurant_ids: Sequence[int]) -> list[tuple[type[Any], str, Q]]:
    """(book, what it is about, whose rows) for each book."""
    groups = Restaurant.objects.filter(pk__in=restaurant_ids).values("sender_group")
    own = Q(restaurant__in=restaurant_ids)
    templates = _book("MessageTemplateChange").objects.filter(own).values("pgh_obj")
    return [
        (_book("RestaurantChange"), _("Restaurant"), Q(pgh_obj__in=restaurant_ids)),
        (_book("LocationChange"), _("Kitchen"), own),
        (_book("SenderGroupChange"), _("Seller"), Q(pgh_obj__in=groups)),
        (_book("PolicyPackChange"), _("Rules"), Q()),
        (_book("SourceAccountChange"), _("Order source"), own),
        (_book("ProviderAccountChange"), _("Message account"), own),
        (_book("RouteChange"), _("Route"), own),
        (_book("MessageTemplateChange"), _("Message"), own),
        (_book("MessageTemplateVersionChange"), _("Words"), Q(template__in=templates)),
    ]


def changes(restaurant_ids: Sequence[int], before: datetime | None = None) -> list[Change]:
    """The newest changes of these restaurants' settings, before a moment where one is given."""
    found: list[tuple[Any, str]] = []
    for book, what, whose in _sources(restaurant_ids):
        rows: QuerySet[Any] = book.objects.filter(whose).select_related("pgh_context")
        if before is not None:
            rows = rows.filter(pgh_created_at__lt=before)
        found += [(row, what) for row in rows.order_by("-pgh_id")[:SHOWN]]
    found.sort(key=lambda pair: (pair[0].pgh_created_at, pair[0].pgh_id), reverse=True)
    found = found[:SHOWN]
    earlier = _earlier(row for row, _what in found)
    return [_change(row, what, earlier.get((type(row), row.pgh_id))) for row, what in found]


def _earlier(rows: Iterable[Any]) -> dict[tuple[type[Any], int], Any]:
    """What each changed object looked like before."""
    asked: dict[type[Any], list[Any]] = {}
    for row in rows:
        if row.pgh_label == "update":
            asked.setdefault(type(row), []).append(row)
    found: dict[tuple[type[Any], int], Any] = {}
    for book, listed in asked.items():
        rows_of: dict[int, list[Any]] = {}
        about = {row.pgh_obj_id for row in listed}
        history = book.objects.filter(pgh_obj__in=about).order_by("-pgh_id")[:_LOOKED_BACK]
        for old in history:
            rows_of.setdefault(old.pgh_obj_id, []).append(old)
        for row in listed:
            past = (old for old in rows_of.get(row.pgh_obj_id, ()) if old.pgh_id < row.pgh_id)
            if (last := next(past, None)) is not None:
                found[book, row.pgh_id] = last
    return found


def _change(row: Any, what: str, before: Any) -> Change:
    said = row.pgh_context.metadata if row.pgh_context else {}
    deed, tone = {
        "insert": (_("added"), "good"),
        "delete": (_("deleted"), "bad"),
        SECRETS_CHANGED: (_("secrets changed"), "warn"),
    }.get(row.pgh_label, (_("changed"), "quiet"))
    return Change(
        at=row.pgh_created_at,
        who=str(said.get("name") or _("the system")),
        what=what,
        name=_name(row),
        deed=deed,
        tone=tone,
        fields=_differences(row, before),
        page=str(said.get("url") or ""),
    )


def _name(row: Any) -> str:
    for name in ("name", "trigger", "jurisdiction", "subject"):
        if value := getattr(row, name, ""):
            return str(value)
    return f"{row.pgh_obj_id}"


def _differences(row: Any, before: Any) -> list[tuple[str, str, str]]:
    """What is not as it was; of something new, its words."""
    names = [f.name for f in row._meta.fields if not f.name.startswith("pgh_")]
    names = [name for name in names if name not in _UNSAID]
    if row.pgh_label == "insert":
        return [("text", "", _short(row.text))] if "text" in names else []
    if row.pgh_label != "update" or before is None:
        return []
    attributes = [(n, row._meta.get_field(n).attname) for n in names]
    return [
        (name.replace("_", " "), _short(getattr(before, at)), _short(getattr(row, at)))
        for name, at in attributes
        if getattr(before, at) != getattr(row, at)
    ]


def _short(value: Any) -> str:
    text = {None: "–", True: _("yes"), False: _("no")}.get(value) if _is_flag(value) else str(value)
    text = text or "–"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _is_flag(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def changes_page(request: HttpRequest) -> HttpResponse:
    """The page; ``before`` in the query is the moment to go on from."""
    if not manages_anything(request.user):
        raise Http404
    try:
        before = parse_datetime(request.GET.get("before", ""))
    except ValueError:
        before = None
    rows = changes(restaurant_ids_of(request.user), before)
    context = {
        **admin.site.each_context(request),
        "title": _("Who changed what?"),
        "rows": rows,
        "older": rows[-1].at.isoformat() if len(rows) == SHOWN else "",
    }
    return TemplateResponse(request, "admin/console/changes.html", context)
