"""Whose page it is: name, phone and colour of a restaurant, as customer pages show them."""

from __future__ import annotations

from dataclasses import dataclass

from consents.models import SenderGroup
from orders.colours import PAPER_DARK, PAPER_LIGHT, readable
from orders.models import Restaurant


@dataclass(frozen=True, slots=True)
class Brand:
    """A restaurant to its customers."""

    restaurant_id: int
    name: str
    slug: str
    phone: str
    #: the phone number as a tel: link wants it
    phone_link: str
    country: str
    timezone: str
    sender_group: SenderGroup
    privacy_url: str
    #: the brand's colour where it is readable on our paper, else ""
    accent_light: str
    accent_dark: str


def brand_by_slug(slug: str) -> Brand | None:
    """The restaurant of a public page."""
    return _brand(Restaurant.objects.select_related("sender_group").filter(slug=slug).first())


def brand_by_id(restaurant_id: int) -> Brand | None:
    """The restaurant a link was sent by."""
    return _brand(
        Restaurant.objects.select_related("sender_group").filter(pk=restaurant_id).first()
    )


def brand_of_group(sender_group_id: int) -> Brand | None:
    """The first restaurant of a seller: what is stopped is stopped for all of them."""
    rows = Restaurant.objects.select_related("sender_group").order_by("pk")
    return _brand(rows.filter(sender_group_id=sender_group_id).first())


def _brand(restaurant: Restaurant | None) -> Brand | None:
    if restaurant is None:
        return None
    phone = restaurant.phone or restaurant.sender_group.phone
    accent = restaurant.accent
    return Brand(
        restaurant_id=restaurant.pk,
        name=restaurant.name,
        slug=restaurant.slug,
        phone=phone,
        phone_link="".join(c for c in phone if c.isdecimal() or c == "+"),
        country=restaurant.country,
        timezone=restaurant.timezone,
        sender_group=restaurant.sender_group,
        privacy_url=restaurant.sender_group.privacy_url,
        accent_light=accent if readable(accent, PAPER_LIGHT) else "",
        accent_dark=accent if readable(accent, PAPER_DARK) else "",
    )
