"""Who is at the keyboard: put beside every change that a page of the console makes."""

from __future__ import annotations

from collections.abc import Callable

import pghistory
from django.http import HttpRequest, HttpResponse

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def console_history(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: user and page of what is changed under /admin/; webhooks and the API pay nothing.

    The name is kept beside the key, because a user may be gone when somebody asks.
    """

    def watched(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/admin/") or request.method in _READING:
            return get_response(request)
        user = request.user
        with pghistory.context(user=user.pk, name=user.get_username(), url=request.path):
            return get_response(request)

    return watched
