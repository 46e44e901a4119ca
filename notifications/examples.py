"""Messages about the documented sample order, made by the very code that makes real ones.

``show_request`` prints them and the conformance check validates them; nothing here is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from consents.encryption import encrypt
from integrations import registry
from integrations.contracts import Channel, Message, Provider
from notifications import compose, context, defaults
from notifications.claims import Row
from notifications.models import ProviderAccount
from notifications.selectors import (
    AccountView,
    LocationView,
    RestaurantConfig,
    TemplateView,
    account_view,
)

NOW = datetime(2026, 3, 14, 22, 36, tzinfo=UTC)
ORDER_ID = UUID("00000000-0000-4000-8000-000000001042")
ATTEMPT_ID = UUID("00000000-0000-4000-8000-00000000a001")
NOTIFICATION_ID = UUID("00000000-0000-4000-8000-00000000b001")
#: reserved numbers and domains, and made-up ids in the vendors' forms
ADDRESSES: Mapping[str, str] = {
    Channel.SMS: "+12025550142",
    Channel.WHATSAPP: "+12025550142",
    Channel.EMAIL: "ana@example.com",
    Channel.MESSENGER: "6250000000000042",
    Channel.TELEGRAM: "4711",
    Channel.PUSH: "token:" + "d" * 22 + ":APA91b" + "e" * 60,
    Channel.WEB_PUSH: '{"endpoint":"https://fcm.googleapis.com/fcm/send/example","keys":{"p256dh":'
    '"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",'
    '"auth":"BTBZMqHH6r4Tts7J_aSIgg"}}',
}
#: event kinds and a milestone each stands for when none is named
KINDS: Mapping[str, str] = {
    "status_changed": "ready",
    "part_status_changed": "part_ready",
    "order_edited": "edited:1",
    "order_split": "split:1",
    "eta_changed": "eta:1",
    "order_delayed": "delayed:1",
    "status_requested": "asked:1",
    "customer_message": "message:1",
    "reply": "help:1",
    "alarm": "alarm:example",
}


@dataclass(frozen=True, slots=True)
class Example:
    """What may differ from the plain sample."""

    language: str = "en"
    first_name: str = "Ana"
    number: str = "1042"
    parts: tuple[context.PartFacts, ...] | None = None
    items: tuple[str, ...] | None = None
    fulfillment: str = "pickup"
    text: str = ""
    to: str = ""
    vendor_template: str = ""
    earlier_id: str = ""
    is_window_open: bool = False


def kinds_of(provider: type[Provider]) -> list[str]:
    """The event kinds somebody may be told about here: only people who ask get answers."""
    answers = ("reply", "status_requested")
    is_asked = audience_of(provider, "status_changed") == "customer"
    return [kind for kind in KINDS if is_asked or kind not in answers]


def audience_of(provider: type[Provider], kind: str) -> str:
    """Whom a message of this kind is for at this provider."""
    if kind in ("customer_message", "alarm"):
        return "staff"
    if provider.channel in (Channel.WEBHOOK, Channel.AUTOMATION):
        return "partner"
    is_team = provider.channel == Channel.TEAM_CHAT
    return "staff" if is_team else "customer"


def trigger(name: str) -> tuple[str, str]:
    """(kind, milestone) of "kind" or "kind:milestone"; raises KeyError for an unknown kind."""
    kind, _, milestone = name.partition(":")
    return kind, milestone or KINDS[kind]


def message(key: str, kind: str, milestone: str = "", example: Example | None = None) -> Message:
    """The message about the sample order at an account with the provider's example settings.

    Raises KeyError for an unknown provider or event kind.
    """
    example = example or Example()
    provider = registry.provider_class(key)
    milestone = milestone or KINDS[kind]
    account = example_account(key)
    audience = audience_of(provider, kind)
    config = _config(example, audience, provider.channel)
    made_row = row(provider, kind, milestone, audience, example)
    made, _ = compose.message(
        made_row, config=config, account=account, attempt_id=ATTEMPT_ID, now=NOW
    )
    return replace(made, text=example.text) if example.text else made


def example_account(key: str) -> AccountView:
    """An account as planning sees it, saved nowhere."""
    provider = registry.provider_class(key)
    return account_view(
        ProviderAccount(
            pk=0,
            restaurant_id=0,
            provider=key,
            channel=provider.channel,
            name=provider.title,
            token="example",  # noqa: S106 - a part of a URL nobody serves
            settings=provider.example_settings(),
        )
    )


def _config(example: Example, audience: str, channel: str) -> RestaurantConfig:
    facts = context.sample_facts("status_changed", "ready")
    place = LocationView(1, facts.location_name, facts.timezone)
    return RestaurantConfig(
        id=0,
        name=facts.restaurant_name,
        phone=facts.restaurant_phone,
        timezone=facts.timezone,
        country="US",
        language="en",
        sender_group_id=0,
        locations={1: place},
        routes=(),
        accounts=(),
        templates=_templates(example),
    )


def _templates(example: Example) -> dict[tuple[str, str, str, str, int], TemplateView]:
    """The words every restaurant starts with."""
    found = {}
    for (trigger, audience, channel), words in defaults.TEXTS.items():
        for language, text in words.items():
            subject = defaults.SUBJECTS.get(audience, {}).get(language, "")
            view = TemplateView(0, text, subject, "", example.vendor_template, "order_updates")
            found[trigger, audience, channel, language, 0] = view
    return found


def row(
    provider: type[Provider], kind: str, milestone: str, audience: str, example: Example
) -> Row:
    """The claimed delivery of such a message, as dispatch would load it."""
    facts = context.sample_facts(kind, milestone, example.language)
    order = facts.order
    settings = provider.example_settings()
    kinds = provider.address_channels(settings)
    value = example.to or provider.example_address or (ADDRESSES.get(kinds[0], "") if kinds else "")
    is_account = provider.capabilities.account_is_address
    purpose = "order_updates" if audience == "customer" else f"{audience}_ops"
    return Row(
        id=1,
        channel=provider.channel,
        step=0,
        tries=0,
        address_id=None if is_account else 1,
        expires_at=NOW + timedelta(minutes=30),
        is_overtaken=False,
        created_at=NOW,
        notification_id=NOTIFICATION_ID,
        kind=kind,
        milestone=milestone,
        purpose="service_reply" if kind in ("status_requested", "reply") else purpose,
        is_critical=False,
        is_urgent=kind != "order_edited",
        audience=audience,
        subject_id=None,
        merged=[{"event": "", "sentence": "An account was stopped"}] if kind == "alarm" else [],
        event_data=dict(facts.event_data),
        part_ref="",
        held="",
        order_id=1,
        order_public_id=ORDER_ID,
        display=example.number,
        order_state=order.state,
        flags=list(order.flags),
        fulfillment=example.fulfillment,
        is_scheduled=False,
        promised_at=order.promised_at,
        est_ready_at=order.est_ready_at,
        est_delivery_at=order.est_ready_at if example.fulfillment == "delivery" else None,
        expected_at=None,
        detail=_detail(order),
        location_id=1,
        address_token=encrypt(value.encode()) if value and not is_account else None,
        masked="",
        address_hash="",
        name_token=encrypt(example.first_name.encode()) if example.first_name else None,
        locale=example.language,
        lane="1:1",
        address_channel=kinds[0] if kinds else "",
        window_until=NOW + timedelta(hours=1) if example.is_window_open else None,
        occurred_at=NOW,
        parts=tuple(order.parts) if example.parts is None else example.parts,
        items=tuple(order.items) if example.items is None else example.items,
        earlier_id=example.earlier_id,
        source_order_id="450789469" if provider.of_source else "",
    )


def _detail(order: context.OrderFacts) -> dict[str, Any]:
    return {
        "reason": {"text": order.reason},
        "courier": {"name": order.courier_name, "tracking_url": order.tracking_url},
        "source": order.source,
    }
