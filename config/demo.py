"""The demonstration restaurant: made when there is none, with sandbox accounts throughout."""

from __future__ import annotations

import json
import secrets
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from consents.models import SenderGroup
from integrations import http
from integrations.contracts import HttpRequest
from notifications import defaults
from notifications.models import ProviderAccount
from orders.api_keys import create_key
from orders.models import Location, Membership, Restaurant, SourceAccount
from orders.try_out import register_with_sandbox

LOCATION_ID = "MAIN-STREET"
SQUARE_LOCATION_ID = "L0DEMOMAINSTREET"
#: the location ids of the vendors' published examples, so that those can be posted as they are
SAMPLE_LOCATION_IDS = ("STORE-1", "FPYCBCHYMXFK1", "89dd9741-66b5-4bb4-b216-a813f3b21b4f")

_PROVIDERS: tuple[tuple[str, str, int], ...] = (
    ("twilio", "Twilio (sandbox)", 10),
    ("mailgun", "Mailgun (sandbox)", 10),
    ("slack", "Kitchen chat (sandbox)", 10),
)


def secrets_file() -> Path:
    """Where the demo login and key live, mode 0600."""
    return Path(settings.VAR_DIR) / "demo.json"


def _stored() -> dict[str, str]:
    path = secrets_file()
    return json.loads(path.read_text()) if path.exists() else {}


def login() -> tuple[str, str] | None:
    """User and password of the demo manager, None without a demo restaurant."""
    stored = _stored()
    return ("manager", stored["password"]) if "password" in stored else None


@transaction.atomic
def ensure_demo() -> Restaurant | None:
    """Create the demo restaurant on an empty database; returns it, None beside real ones."""
    found = Restaurant.objects.filter(is_demo=True).first()
    if found is not None or Restaurant.objects.exists():
        return found
    group = SenderGroup.objects.create(
        name="Harvest & Steam LLC", country="US", phone="+1 202 555 0100"
    )
    restaurant = Restaurant.objects.create(
        name="Harvest & Steam",
        slug="harvest-and-steam",
        sender_group=group,
        country="US",
        timezone="America/New_York",
        phone="+1 202 555 0100",
        is_demo=True,
    )
    location = Location.objects.create(
        restaurant=restaurant,
        name="Main Street",
        external_ids=[LOCATION_ID, SQUARE_LOCATION_ID, *SAMPLE_LOCATION_IDS],
    )
    for source, name, values in _sources():
        SourceAccount.objects.create(
            restaurant=restaurant, location=location, source=source, name=name, settings=values
        )
    for provider, name, priority in _PROVIDERS:
        _provider_account(restaurant, provider, name, priority)
    defaults.install(restaurant)
    _people(restaurant)
    return restaurant


def _sources() -> list[tuple[str, str, dict[str, str]]]:
    return [
        (
            "square",
            "Square (till)",
            {
                "signature_key": secrets.token_urlsafe(24),
                "access_token": "EAAA" + secrets.token_hex(16),
            },
        ),
        (
            "uber_eats",
            "Uber Direct (couriers)",
            {"direct_signing_key": secrets.token_urlsafe(24)},
        ),
        ("cloudevents", "Web shop", {"secret": "whsec-" + secrets.token_urlsafe(24)}),
    ]


def _provider_account(restaurant: Restaurant, provider: str, name: str, priority: int) -> None:
    values = {
        "twilio": {
            "account_sid": "AC" + secrets.token_hex(16),
            "auth_token": secrets.token_hex(16),
            "sender": "+12025550100",
        },
        "mailgun": {
            "domain": "mg.example.com",
            "api_key": "key-" + secrets.token_hex(16),
            "from_address": "orders@mg.example.com",
            "from_name": restaurant.name,
            "signing_key": secrets.token_hex(16),
        },
        "slack": {
            "webhook_url": "https://hooks.slack.com/services/T0DEMO/B0KITCHEN/"
            + secrets.token_hex(12),
        },
    }[provider]
    channel = {"twilio": "sms", "mailgun": "email", "slack": "team_chat"}[provider]
    ProviderAccount.objects.create(
        restaurant=restaurant,
        provider=provider,
        channel=channel,
        name=name,
        priority=priority,
        settings=values,
        # the stand-ins on loopback take what comes
        rate_per_s=0,
    )


def _people(restaurant: Restaurant) -> None:
    password = secrets.token_urlsafe(9)
    user = get_user_model().objects.create_superuser("manager", "manager@example.com", password)
    Membership.objects.create(user=user, restaurant=restaurant)
    _, key = create_key(
        restaurant=restaurant,
        name="Demo",
        scopes=["orders:read", "orders:write", "notifications:read"],
    )
    path = secrets_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"password": password, "api_key": key}, indent=1))


def order_webhook_url(account: SourceAccount) -> str:
    """The public URL a source posts to."""
    return f"{settings.PUBLIC_URL}/hooks/orders/{account.token}/"


def _secret(account: SourceAccount) -> str:
    values = account.settings
    names = ("secret", "signature_key", "direct_signing_key", "client_secret")
    return next((values[name] for name in names if values.get(name)), "")


def info() -> dict[str, Any]:
    """Everything needed to post an update by hand: URLs, login, key, secrets."""
    restaurant = Restaurant.objects.filter(is_demo=True).first()
    stored = _stored()
    user = login()
    return {
        "base_url": settings.PUBLIC_URL,
        "sandbox_url": settings.SANDBOX_URL,
        "admin": {
            "url": f"{settings.PUBLIC_URL}/admin/",
            "username": user[0] if user else None,
            "password": user[1] if user else None,
        },
        "api_key": stored.get("api_key"),
        "api_url": f"{settings.PUBLIC_URL}/api/v1/",
        "location_id": LOCATION_ID,
        "sources": [
            {
                "source": account.source,
                "name": account.name,
                "webhook_url": order_webhook_url(account),
                "signing_secret": _secret(account),
            }
            for account in SourceAccount.objects.filter(restaurant=restaurant)
            .exclude(source__in=["rest", "manual"])
            .order_by("pk")
        ],
    }


def register_sources() -> None:
    """Tell the sandbox which sandbox source accounts exist, so that it can speak for them."""
    register_with_sandbox(SourceAccount.objects.filter(mode="sandbox", enabled=True))


class SandboxRefused(Exception):
    """The sandbox answered with an error; the text is its answer."""


def sandbox_post(path: str, body: dict[str, Any], *, method: str = "POST") -> dict[str, Any]:
    """Call the sandbox's own interface.

    Raises SandboxRefused, or an IntegrationError when the sandbox is away.
    """
    made = HttpRequest.post(f"{settings.SANDBOX_URL}/_sandbox/{path}", json_body=body)
    request = HttpRequest(method, made.url, made.headers, made.body)
    answer = http.run(http.http_door().send(request, provider="sandbox"))
    if answer.status >= 400:
        raise SandboxRefused(f"HTTP {answer.status}: {answer.text()[:300]}")
    return answer.json_object()


def emit(vendor: str, **wanted: Any) -> dict[str, Any]:
    """Let the sandbox post an event of ``vendor`` to the demonstration's own account there.

    Managers add accounts of the same kind; the sandbox would speak to the newest one.
    """
    accounts = SourceAccount.objects.filter(restaurant__is_demo=True, source=vendor)
    account = accounts.filter(mode="sandbox", enabled=True).order_by("pk").first()
    if account is None:
        raise SandboxRefused(f"the demonstration has no {vendor} account any more")
    url = order_webhook_url(account)
    return sandbox_post("emit", {"vendor": vendor, "account": url, **wanted})


def lunch(stop: threading.Event) -> None:
    """Play the lunch service once on a database without orders."""
    from config.lunch import play
    from orders.models import Order

    if not Order.objects.exists():
        play(stop)
