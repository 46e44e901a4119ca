"""What planning and dispatch read about a restaurant, cached for a moment.

A manager's change is seen by every process within ``CACHE_S`` seconds and by the process that
saved it at once (``clear_caches``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock
from typing import Any

from cachetools import TTLCache, cached
from django.conf import settings

from integrations import registry
from integrations.contracts import Channel, Provider
from notifications.models import MessageTemplateVersion, ProviderAccount, Route
from orders.models import Location, Restaurant

CACHE_S = 2.0


@dataclass(frozen=True, slots=True)
class AccountView:
    """A provider account as planning and dispatch need it."""

    id: int
    restaurant_id: int
    provider: str
    channel: str
    name: str
    token: str
    mode: str
    settings: Mapping[str, str]
    priority: int
    rate_per_s: float
    account_is_address: bool
    #: kinds of address it reaches people by, the preferred first
    address_channels: tuple[str, ...]
    #: the source whose orders alone it can tell about; "" = any order
    of_source: str
    can_begin: bool
    edits: bool
    own_addresses: bool
    window_s: int
    open_until: datetime | None
    is_stopped: bool

    def is_usable(self, now: datetime) -> bool:
        """Neither stopped by a configuration error nor held by its circuit breaker."""
        return not self.is_stopped and (self.open_until is None or self.open_until <= now)

    def reaches(self, channel: str, bound_to: str) -> bool:
        """Whether an address of this kind, bound to this account token or to none, is for it."""
        return channel in self.address_channels and bound_to in ("", self.token)

    def address_channel(self, value: str) -> str:
        """The kind of address a person is known by here, told by its form where there are two."""
        if self.channel in self.address_channels or not self.address_channels:
            return self.channel
        wanted = Channel.EMAIL if "@" in value else Channel.SMS
        return wanted if wanted in self.address_channels else self.address_channels[0]


@dataclass(frozen=True, slots=True)
class RouteView:
    """A route as planning needs it."""

    id: int
    name: str
    audience: str
    triggers: frozenset[str]
    conditions: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...]
    purpose: str
    critical: bool


@dataclass(frozen=True, slots=True)
class TemplateView:
    """The newest words of a message template."""

    version_id: int
    text: str
    subject: str
    html: str
    vendor_template: str
    purpose: str


@dataclass(frozen=True, slots=True)
class LocationView:
    """A location as the texts need it."""

    id: int
    name: str
    timezone: str


@dataclass(frozen=True, slots=True)
class RestaurantConfig:
    """Everything a manager configured that decides about messages."""

    id: int
    name: str
    phone: str
    timezone: str
    country: str
    language: str
    sender_group_id: int
    locations: Mapping[int, LocationView]
    routes: tuple[RouteView, ...]
    accounts: tuple[AccountView, ...]
    #: (trigger, audience, channel, language, location id or 0) -> words
    templates: Mapping[tuple[str, str, str, str, int], TemplateView] = field(default_factory=dict)
    #: the last part of the addresses of its public pages
    slug: str = ""

    def account(self, account_id: int) -> AccountView | None:
        """The account with this id, None when it is gone or disabled."""
        return next((a for a in self.accounts if a.id == account_id), None)

    def accounts_for(self, channel: str, now: datetime) -> list[AccountView]:
        """Usable accounts of a channel, the one to try first first."""
        return [a for a in self.accounts if a.channel == channel and a.is_usable(now)]

    def template(
        self, *, trigger: str, audience: str, channel: str, language: str, location_id: int | None
    ) -> TemplateView | None:
        """The most specific words: milestone before kind, location, channel, language.

        Partners are told as the staff are where nobody wrote words for them.
        """
        kind = trigger.partition(":")[0]
        readers = (audience, "staff") if audience == "partner" else (audience,)
        languages = dict.fromkeys((language, language.partition("-")[0], self.language, "en"))
        for wanted in dict.fromkeys((trigger, kind)):
            for tongue in languages:
                for place in dict.fromkeys((location_id or 0, 0)):
                    for way in (channel, ""):
                        for reader in readers:
                            found = self.templates.get((wanted, reader, way, tongue, place))
                            if found is not None:
                                return found
        return None


_lock = RLock()


@cached(TTLCache(maxsize=512, ttl=CACHE_S), lock=_lock)
def restaurant_config(restaurant_id: int) -> RestaurantConfig:
    """The configuration of one restaurant; raises Restaurant.DoesNotExist."""
    restaurant = Restaurant.objects.get(pk=restaurant_id)
    return RestaurantConfig(
        id=restaurant.pk,
        name=restaurant.name,
        phone=restaurant.phone,
        timezone=restaurant.timezone,
        country=restaurant.country,
        language=restaurant.language,
        sender_group_id=restaurant.sender_group_id,
        locations={
            place.pk: LocationView(place.pk, place.name, place.timezone or restaurant.timezone)
            for place in Location.objects.filter(restaurant=restaurant)
        },
        routes=tuple(
            _route_view(r) for r in Route.objects.filter(restaurant=restaurant, enabled=True)
        ),
        accounts=tuple(
            account_view(a)
            for a in ProviderAccount.objects.filter(restaurant=restaurant, enabled=True)
        ),
        templates=_templates(restaurant.pk),
        slug=restaurant.slug,
    )


@cached(TTLCache(maxsize=2048, ttl=CACHE_S), lock=_lock)
def account_by_token(token: str) -> AccountView | None:
    """The enabled account behind a webhook URL, None when there is none."""
    account = ProviderAccount.objects.filter(token=token, enabled=True).first()
    return account_view(account) if account else None


@cached(TTLCache(maxsize=2048, ttl=CACHE_S), lock=_lock)
def account_by_id(account_id: int) -> AccountView | None:
    """The enabled account with this id, None when there is none."""
    account = ProviderAccount.objects.filter(pk=account_id, enabled=True).first()
    return account_view(account) if account else None


def budget_of(account: AccountView) -> int:
    """The account whose rate budget this one draws from: its own, or one it must share."""
    rate_key = registry.provider_class(account.provider).rate_key
    key = rate_key(account.settings)
    if not key:
        return account.id
    sharing = [
        other.id
        for other in restaurant_config(account.restaurant_id).accounts
        if other.provider == account.provider and rate_key(other.settings) == key
    ]
    return min(sharing, default=account.id)


def clear_caches() -> None:
    """Forget everything; called by each function that saves configuration."""
    with _lock:
        for function in (restaurant_config, account_by_token, account_by_id):
            if function.cache is not None:
                function.cache.clear()
        _providers.clear()


def account_view(account: ProviderAccount) -> AccountView:
    """The view of one account row."""
    provider = registry.provider_class(account.provider)
    capabilities = provider.capabilities
    rate = account.rate_per_s if account.rate_per_s is not None else capabilities.rate_per_s
    return AccountView(
        id=account.pk,
        restaurant_id=account.restaurant_id,
        provider=account.provider,
        channel=account.channel,
        name=account.name,
        token=account.token,
        mode=account.mode,
        settings=account.settings,
        priority=account.priority,
        rate_per_s=rate,
        account_is_address=capabilities.account_is_address,
        address_channels=provider.address_channels(account.settings),
        of_source=provider.of_source,
        can_begin=provider.can_begin(account.settings),
        edits=capabilities.edit,
        own_addresses=capabilities.own_addresses,
        window_s=capabilities.window_s,
        open_until=account.open_until,
        is_stopped=bool(account.stopped_reason),
    )


_providers: dict[tuple[int, int], Provider] = {}


def provider_for(account: AccountView) -> Provider:
    """The provider object of an account, kept while its settings stay the same.

    Raises ConfigurationError when a required setting is missing.
    """
    fingerprint = (account.id, hash((account.mode, *sorted(account.settings.items()))))
    found = _providers.get(fingerprint)
    if found is None:
        base_url = f"{settings.SANDBOX_URL}/{account.provider}" if account.mode == "sandbox" else ""
        found = registry.provider_class(account.provider)(account.settings, base_url=base_url)
        _providers[fingerprint] = found
    return found


def webhook_url(token: str) -> str:
    """The public URL a vendor posts receipts and replies of one account to."""
    return f"{settings.PUBLIC_URL}/hooks/messages/{token}/"


def _route_view(route: Route) -> RouteView:
    return RouteView(
        id=route.pk,
        name=route.name,
        audience=route.audience,
        triggers=frozenset(route.triggers),
        conditions=route.conditions,
        steps=tuple(route.steps),
        purpose=route.purpose,
        critical=route.critical,
    )


def _templates(restaurant_id: int) -> dict[tuple[str, str, str, str, int], TemplateView]:
    versions = (
        MessageTemplateVersion.objects.filter(
            template__restaurant_id=restaurant_id, template__enabled=True
        )
        .select_related("template")
        .order_by("template_id", "-number")
        .distinct("template_id")
    )
    return {
        (
            v.template.trigger,
            v.template.audience,
            v.template.channel,
            v.template.language,
            v.template.location_id or 0,
        ): TemplateView(
            v.pk, v.text, v.subject, v.html, v.template.vendor_template, v.template.purpose
        )
        for v in versions
    }
