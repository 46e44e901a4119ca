"""The answer a live page asks for every few seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers


def live_answer(
    request: HttpRequest,
    *,
    version: str,
    is_open: bool,
    announce: str,
    template: str,
    context: Mapping[str, Any],
) -> HttpResponse:
    """{"version","is_open","announce","html"}, or 304 when the page already shows ``version``.

    ``announce`` is what a screen reader hears when it differs from what it heard last;
    ``is_open`` false tells the page to stop asking.
    """
    tag = f'"{version}"'
    response: HttpResponse
    if request.headers.get("If-None-Match") == tag:
        response = HttpResponse(status=304)
    else:
        response = JsonResponse(
            {
                "version": version,
                "is_open": is_open,
                "announce": announce,
                "html": render_to_string(template, dict(context), request=request),
            }
        )
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Cookie", "Accept-Language"])
    return response
