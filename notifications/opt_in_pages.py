"""The public opt-in page of a restaurant, its terms, and the page that confirms an opt-in."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import get_language
from django.views.decorators.http import require_http_methods, require_safe

from consents import link_requests, notices, opt_ins
from consents.addresses import AddressInvalid
from consents.models import LinkRequest
from notifications.brand import Brand, brand_by_id, brand_by_slug
from notifications.opt_in_words import text_updates
from notifications.portal_answers import caller_of, gone, page, private_page

NOTICE = "opt_in_page"


@private_page
@require_http_methods(["GET", "HEAD", "POST"])
def opt_in(request: HttpRequest, slug: str) -> HttpResponse:
    """A number, one box that nobody ticked, and the words carriers want to read."""
    brand = brand_by_slug(slug)
    if brand is None:
        return gone(request)
    words = text_updates(brand)
    if request.method != "POST":
        return page(request, "opt_in", brand, {"words": words})
    typed = request.POST.get("address", "").strip()
    if request.POST.get("agree") != "yes":
        return page(request, "opt_in", brand, {"words": words, "problem": "agree"}, 422)
    try:
        _note(request, brand, typed, words)
    except AddressInvalid:
        return page(request, "opt_in", brand, {"words": words, "problem": "address"}, 422)
    return page(request, "asked", brand, {"is_opt_in": True}, status=202)


def _note(request: HttpRequest, brand: Brand, typed: str, words: str) -> None:
    if "@" in typed:
        raise AddressInvalid("not_a_number")
    now, language = timezone.now(), get_language() or "en"
    notice = notices.notice_of(
        sender_group_id=brand.sender_group.pk, key=NOTICE, language=language, text=words, now=now
    )
    caller = caller_of(request)
    link_requests.ask(
        kind=LinkRequest.Kind.OPT_IN,
        sender_group=brand.sender_group,
        restaurant_ref=brand.restaurant_id,
        typed=typed,
        region=brand.country,
        caller=caller,
        language=language,
        now=now,
        notice_version_id=notice.pk,
        evidence={
            "page": request.path,
            "ip": caller,
            "user_agent": request.headers.get("User-Agent", "")[:300],
            "box": "ticked",
        },
    )


@private_page
@require_safe
def terms(request: HttpRequest, slug: str) -> HttpResponse:
    """The terms of the texts and what happens to the number."""
    brand = brand_by_slug(slug)
    return gone(request) if brand is None else page(request, "terms", brand)


@private_page
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, restaurant_id: int, token: str) -> HttpResponse:
    """GET shows the button, POST confirms and grants."""
    brand, now = brand_by_id(restaurant_id), timezone.now()
    open_one = opt_ins.find_open(token, now)
    if brand is None or open_one is None:
        return gone(request, brand)
    if open_one.address.sender_group_id != brand.sender_group.pk:
        return gone(request, brand)
    notice = open_one.notice_version
    words = notice.text if notice else text_updates(brand)
    if request.method != "POST":
        return page(request, "confirm", brand, {"words": words})
    proof = {"page": "confirm", "ip": caller_of(request)}
    if opt_ins.confirm(token, now, proof) is None:
        return gone(request, brand)
    return page(request, "confirm", brand, {"words": words, "is_done": True})
