"""A customer's choices at one restaurant: asked for with an address, opened by proof of it.

The form answers the same whoever is asked about. A link opens half an hour in which one address is
proven; everything that changes something is a POST of one of the page's forms.
"""

from __future__ import annotations

from datetime import datetime, time
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone, translation
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from consents import (
    choices,
    exports,
    link_requests,
    manage_links,
    people,
    rights,
    unsubscribing,
)
from consents.addresses import AddressInvalid
from consents.models import ContactAddress, LinkRequest
from consents.people import Person
from notifications.brand import Brand, brand_by_id, brand_by_slug
from notifications.opt_in_words import wordings
from notifications.portal_answers import caller_of, gone, page, private_page
from notifications.preference_data import open_orders, place_of, preference_page

COOKIE = "portal"
_PATH = "/preferences/"
_LANGUAGES = tuple(code for code, _name in settings.LANGUAGES)


@private_page
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest, slug: str) -> HttpResponse:
    """The form that asks for an address or, with a session, the choices of that address."""
    brand = brand_by_slug(slug)
    if brand is None:
        return gone(request)
    now = timezone.now()
    person = _person(request, brand, now)
    if person is None:
        # a form of a session that is over asks for a new link, it changes nothing
        wants_link = request.method == "POST" and "address" in request.POST
        return _ask(request, brand, now) if wants_link else page(request, "ask", brand)
    with translation.override(_language(person)):
        if request.method != "POST":
            values = {"data": preference_page(person, brand, now)}
            return page(request, "preferences", brand, values)
        return _change(request, brand, person, now)


def _language(person: Person) -> str:
    """What the person chose for messages, else the browser's."""
    said = person.subject.locale.partition("-")[0] if person.subject else ""
    return said if said in _LANGUAGES else get_language() or "en"


def _person(request: HttpRequest, brand: Brand, now: datetime) -> Person | None:
    session = manage_links.read_session(request.COOKIES.get(COOKIE, ""), now)
    found = people.person_at(session.address, now) if session else None
    if found is None or found.address.sender_group_id != brand.sender_group.pk:
        return None
    return found


def _ask(request: HttpRequest, brand: Brand, now: datetime) -> HttpResponse:
    """The same 202 for everybody: what is behind it is looked at later."""
    try:
        link_requests.ask(
            kind=LinkRequest.Kind.MANAGE,
            sender_group=brand.sender_group,
            restaurant_ref=brand.restaurant_id,
            typed=request.POST.get("address", ""),
            region=brand.country,
            caller=caller_of(request),
            language=get_language() or "en",
            now=now,
        )
    except AddressInvalid:
        return page(request, "ask", brand, {"problem": True}, status=422)
    return page(request, "asked", brand, status=202)


@private_page
@require_http_methods(["GET", "HEAD", "POST"])
def open_link(request: HttpRequest, restaurant_id: int, token: str) -> HttpResponse:
    """GET shows a button (scanners fetch links), POST uses the link up and opens the page."""
    brand, now = brand_by_id(restaurant_id), timezone.now()
    if brand is None or not manage_links.is_usable(token, now):
        return gone(request, brand)
    if request.method != "POST":
        return page(request, "open", brand)
    address = manage_links.use(token, now)
    if address is None or address.sender_group_id != brand.sender_group.pk:
        return gone(request, brand)
    response = redirect("preferences", slug=brand.slug)
    response.set_cookie(
        COOKIE,
        manage_links.start_session(address, now),
        max_age=manage_links.SESSION_LIFE,
        path=_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


@private_page
@require_safe
def download(request: HttpRequest, slug: str, public_id: UUID) -> HttpResponse:
    """The copy of one's data, to whoever has proved an address of theirs."""
    brand, now = brand_by_slug(slug), timezone.now()
    person = _person(request, brand, now) if brand else None
    if person is None:
        return gone(request, brand)
    try:
        body = exports.read_export(public_id=public_id, address_id=person.address.pk, now=now)
    except exports.ExportUnavailable:
        return gone(request, brand)
    response = HttpResponse(body, content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{exports.FILE_NAME}"'
    return response


def _change(request: HttpRequest, brand: Brand, person: Person, now: datetime) -> HttpResponse:
    """One press of one button of the page."""
    deed = request.POST.get("do", "")
    said = ""
    if deed == "save":
        said = _save(request, brand, person, now)
    elif deed == "stop":
        unsubscribing.stop_everything(
            address=person.address,
            source="portal",
            now=now,
            subject_id=person.subject.pk if person.subject else None,
        )
        said = _("Stopped. Nothing more will be sent to %(address)s.")
        said %= {"address": person.address.masked}
    elif deed == "resume":
        said = _resume(brand, person, now)
    elif deed in ("mute", "unmute"):
        said = _mute(request, brand, person, now, is_muted=deed == "mute")
    elif deed == "habits":
        said = _habits(request, person)
    elif deed == "prove":
        said = _prove(request, brand, person, now)
    elif deed in ("access", "erasure"):
        said = _right(deed, person, now)
    response = redirect("preferences", slug=brand.slug)
    if deed == "leave":
        response.delete_cookie(COOKIE, path=_PATH, samesite="Lax")
        said = _("You have left this page.")
    if said:
        messages.success(request, said)
    return response


def _save(request: HttpRequest, brand: Brand, person: Person, now: datetime) -> str:
    """Only boxes that differ from what the page showed: an old tab undoes nothing."""
    shown = set(request.POST.getlist("shown"))
    ticked = set(request.POST.getlist("on"))
    was_on = set(request.POST.getlist("was"))
    wanted = {name: name in ticked for name in shown if (name in ticked) != (name in was_on)}
    language = get_language() or "en"
    changed = choices.change(
        person=person,
        place=place_of(brand),
        wanted=wanted,
        wordings=wordings(brand, language),
        now=now,
    )
    return _("Saved.") if changed else _("Nothing changed.")


def _resume(brand: Brand, person: Person, now: datetime) -> str:
    language = get_language() or "en"
    words = wordings(brand, language)["order_updates"]
    if choices.resume(person=person, wording=words, now=now):
        return _("You will get order updates again.")
    return _("This cannot be undone here. Please call us.")


def _mute(
    request: HttpRequest, brand: Brand, person: Person, now: datetime, *, is_muted: bool
) -> str:
    wanted = request.POST.get("order", "")
    for order in open_orders(person, brand, now):
        if str(order.public_id) == wanted and person.subject is not None:
            choices.mute_order(
                subject_id=person.subject.pk, order_ref=order.public_id, is_muted=is_muted
            )
            words = {"number": order.display or wanted[:8]}
            if is_muted:
                return _("Order %(number)s is muted.") % words
            return _("You will hear of order %(number)s again.") % words
    return ""


def _habits(request: HttpRequest, person: Person) -> str:
    language = request.POST.get("language", "")
    if person.subject is None or language not in _LANGUAGES:
        return ""
    choices.set_habits(
        subject_id=person.subject.pk,
        language=language,
        quiet_from=_clock(request.POST.get("quiet_from", "")),
        quiet_until=_clock(request.POST.get("quiet_until", "")),
    )
    with translation.override(language):
        return _("Saved.")


def _clock(typed: str) -> time | None:
    try:
        return time.fromisoformat(typed).replace(tzinfo=None)
    except ValueError:
        return None


def _prove(request: HttpRequest, brand: Brand, person: Person, now: datetime) -> str:
    """A link to another address of the same person, which has to be opened from there."""
    wanted = request.POST.get("address_id", "")
    for other in person.others:
        if str(other.public_id) == wanted:
            link_requests.ask(
                kind=LinkRequest.Kind.MANAGE,
                sender_group=brand.sender_group,
                restaurant_ref=brand.restaurant_id,
                typed=ContactAddress.objects.get(pk=other.pk).value,
                region=brand.country,
                caller=caller_of(request),
                language=get_language() or "en",
                now=now,
            )
            return _("If we may write to %(address)s, a link is on its way.") % {
                "address": other.masked
            }
    return ""


def _right(kind: str, person: Person, now: datetime) -> str:
    if person.subject is None or person.is_shared:
        return _("Please call us: this address belongs to more than one person.")
    rights.open_request(person.subject.pk, kind, "portal", now)
    if kind == "access":
        return _("We are putting your copy together. Come back in a few minutes.")
    return _("We are erasing your data. That takes a few minutes and cannot be undone.")
