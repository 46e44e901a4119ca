"""The exact request a provider would send, for people: nothing leaves, and no secret shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from django.utils import timezone

from consents.encryption import encrypt
from integrations import registry
from integrations.contracts import HttpRequest, Message, Provider, basic_auth
from notifications import compose, examples, routing
from notifications.claims import Row, plain
from notifications.context import PartFacts
from notifications.models import ProviderAccount
from notifications.selectors import AccountView, account_view, provider_for, restaurant_config
from orders.eta_state import waited_for
from orders.models import Order
from orders.selectors import sources_of

MASK = "••••"
#: headers that carry credentials whatever they hold
_PRIVATE = frozenset({"authorization", "x-shopify-access-token", "x-ua-appkey", "cookie"})
#: shorter values are no secrets, and masking them would tear other words apart
_SHORTEST = 6


def request_for_sample(key: str, kind: str, milestone: str) -> dict[str, Any]:
    """What would leave about the documented sample order, at an account with example settings.

    Raises the errors of ``Provider.request``, compose.NoWords and rendering.TemplateInvalid.
    """
    made = examples.message(key, kind, milestone)
    provider_class = registry.provider_class(key)
    return shown(provider_class(provider_class.example_settings()), made)


def request_for_order(key: str, kind: str, milestone: str, order: Order) -> dict[str, Any]:
    """The same about a real order, at the restaurant's own account and in its own words.

    Without an account of this provider the example settings stand in. Raises as above.
    """
    account = _account(key, order)
    provider_class = registry.provider_class(key)
    made, _ = compose.message(
        _row(order, provider_class, kind, milestone, account),
        config=restaurant_config(order.restaurant_id),
        account=account,
        attempt_id=examples.ATTEMPT_ID,
        now=timezone.now(),
    )
    return shown(provider_for(account), made)


def _account(key: str, order: Order) -> AccountView:
    mine = ProviderAccount.objects.filter(restaurant=order.restaurant_id, provider=key).first()
    return account_view(mine) if mine else examples.example_account(key)


def _row(
    order: Order, provider: type[Provider], kind: str, milestone: str, account: AccountView
) -> Row:
    audience = examples.audience_of(provider, kind)
    sample = examples.row(provider, kind, milestone, audience, examples.Example())
    address = None
    if audience == "customer" and order.subject is not None:
        kinds = account.address_channels
        found = order.subject.addresses.filter(channel__in=kinds)
        address = min(found, key=lambda one: kinds.index(one.channel), default=None)
    event = order.events.filter(kind=kind).order_by("-recorded_at").first()
    now = timezone.now()
    return replace(
        sample,
        expires_at=now + routing.lifetime(routing.trigger_of(kind, milestone)),
        merged=[],
        event_data=event.data if event else {},
        occurred_at=event.occurred_at if event else now,
        order_public_id=order.public_id,
        display=order.display,
        order_state=milestone if kind == "status_changed" else order.state,
        flags=order.flags,
        fulfillment=order.fulfillment,
        is_scheduled=order.is_scheduled,
        promised_at=order.promised_at,
        est_ready_at=order.est_ready_at,
        est_delivery_at=order.est_delivery_at,
        expected_at=waited_for(order.watch) or order.told_at,
        detail=order.detail,
        location_id=order.location_id,
        # without an address of its kind the made-up one stands in
        address_token=encrypt(address.value.encode()) if address else sample.address_token,
        name_token=encrypt((order.subject.name if order.subject else "").encode()),
        locale=order.subject.locale if order.subject else "",
        parts=tuple(PartFacts(p.label, p.state, p.est_ready_at) for p in order.parts.all()),
        items=tuple(f"{plain(i.quantity)} x {i.label}" for i in order.items.all()),
        source_order_id=sources_of(order).get(account.of_source, ""),
    )


def shown(provider: Provider, message: Message) -> dict[str, Any]:
    """Method, URL, headers and body of the request, credentials masked."""
    request = provider.request(message)
    secrets = _secrets(provider)
    return {
        "method": request.method,
        "url": _masked(request.url, secrets),
        "headers": {
            name: MASK if name.lower() in _PRIVATE else _masked(value, secrets)
            for name, value in request.headers.items()
        },
        "body": body_of(request, secrets),
    }


def body_of(request: HttpRequest, secrets: Iterable[str] = ()) -> Any:
    """The body as JSON, as the fields of a form, or as text."""
    said = _masked(request.body.decode("utf-8", "replace"), secrets)
    kind = next((v for n, v in request.headers.items() if n.lower() == "content-type"), "")
    if "form-urlencoded" in kind:
        return _grouped(parse_qsl(said, keep_blank_values=True))
    try:
        return json.loads(said)
    except ValueError:
        return said


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields


def _secrets(provider: Provider) -> list[str]:
    """Every spelling of the account's secrets, the longest first."""
    found: set[str] = set()
    values: Mapping[str, str] = provider.account
    for setting in provider.settings:
        value = values.get(setting.name, "").strip()
        if not setting.secret or len(value) < _SHORTEST:
            continue
        if setting.is_url:
            parts = urlsplit(value)  # the host may show, the rest opens the door
            found |= {part for part in (parts.path, parts.query) if len(part) >= _SHORTEST}
        else:
            found |= {value, quote(value, safe=""), json.dumps(value)[1:-1]}
            found |= {basic_auth(user, value) for user in values.values()}
    return sorted(found, key=len, reverse=True)


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text
