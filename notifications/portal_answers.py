"""How customer pages answer: kept by nobody, found by no search engine, told to no other site."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from notifications.brand import Brand


def private_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Headers of every page of the portal, whatever it answers.

    The referrer stays ``same-origin``, the setting: with ``no-referrer`` Chromium posts forms with
    ``Origin: null``, which the CSRF check must refuse, and no other site hears an address of ours
    either way. Pages without such a form say ``no-referrer`` themselves.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        response["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return answer


def caller_of(request: HttpRequest) -> str:
    """The IP address a request came from; behind a proxy the one that our proxy saw itself.

    A caller may write whatever it likes into X-Forwarded-For; the last entry is the proxy's own.
    """
    said = request.headers.get("X-Forwarded-For", "") if settings.BEHIND_PROXY else ""
    return said.rpartition(",")[2].strip() or str(request.META.get("REMOTE_ADDR", ""))


def page(
    request: HttpRequest,
    name: str,
    brand: Brand | None,
    values: Mapping[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    """A page of the portal in the restaurant's colours."""
    context = {"brand": brand, **(values or {})}
    return render(request, f"portal/{name}.html", context, status=status)


def gone(request: HttpRequest, brand: Brand | None = None) -> HttpResponse:
    """The one page of every link that opens nothing: wrong, used, over or somebody else's."""
    return page(request, "gone", brand, status=404)
