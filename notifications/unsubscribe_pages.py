"""The page behind the unsubscribe link of every message, and the button of mail programs.

No login, no cookie, no CSRF token (RFC 8058 posts from the mail provider's servers), and nothing
personal on the page: whoever got a forwarded mail learns nothing. GET changes nothing, because
scanners of links fetch it.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from consents import link_tokens, unsubscribing
from notifications.brand import brand_of_group
from notifications.portal_answers import gone, page, private_page


@csrf_exempt
@private_page
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows the button; POST stops, again and again the same 200."""
    response = _answer(request, token)
    response["Referrer-Policy"] = "no-referrer"
    return response


def _answer(request: HttpRequest, token: str) -> HttpResponse:
    link = link_tokens.read(token)
    if link is None:
        return gone(request)
    address = unsubscribing.address_of(link)
    brand = brand_of_group(address.sender_group_id) if address else None
    values = {"purpose": link.purpose, "is_done": False, "everything": False}
    if request.method == "POST":
        is_one_click = request.POST.get("List-Unsubscribe") == "One-Click"
        everything = not is_one_click and request.POST.get("what") == "everything"
        source = unsubscribing.ONE_CLICK if is_one_click else unsubscribing.PORTAL
        unsubscribing.unsubscribe(link, everything=everything, source=source, now=timezone.now())
        values |= {"is_done": True, "everything": everything}
    return page(request, "unsubscribe", brand, values)
