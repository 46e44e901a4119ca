"""Every provider and source by key. Adding one is one line here; modules load on first use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import cast

from integrations.contracts import Provider, Setup, Source

PROVIDERS: Mapping[str, str] = {
    "airship": "integrations.providers.airship.Airship",
    "apprise": "integrations.providers.apprise.Apprise",
    "console": "integrations.providers.console.Console",
    "fcm": "integrations.providers.fcm.Fcm",
    "freshdesk": "integrations.providers.freshdesk.Freshdesk",
    "google_chat": "integrations.providers.google_chat.GoogleChat",
    "hubspot": "integrations.providers.hubspot.HubSpot",
    "klaviyo": "integrations.providers.klaviyo.Klaviyo",
    "mailgun": "integrations.providers.mailgun.Mailgun",
    "messenger": "integrations.providers.messenger.Messenger",
    "partner_webhook": "integrations.providers.partner_webhook.PartnerWebhook",
    "plivo": "integrations.providers.plivo.Plivo",
    "power_automate": "integrations.providers.power_automate.PowerAutomate",
    "pusher": "integrations.providers.pusher.Pusher",
    "sendgrid": "integrations.providers.sendgrid.SendGrid",
    "shopify": "integrations.providers.shopify.Shopify",
    "signalwire": "integrations.providers.signalwire.SignalWire",
    "slack": "integrations.providers.slack.Slack",
    "teams": "integrations.providers.teams.Teams",
    "telegram": "integrations.providers.telegram.Telegram",
    "twilio": "integrations.providers.twilio.Twilio",
    "web_push": "integrations.providers.web_push.WebPush",
    "whatsapp": "integrations.providers.whatsapp.WhatsApp",
    "zendesk": "integrations.providers.zendesk.Zendesk",
}

SOURCES: Mapping[str, str] = {
    "cloudevents": "integrations.sources.cloudevents.CloudEvents",
    "clover": "integrations.sources.clover.Clover",
    "deliverect": "integrations.sources.deliverect.Deliverect",
    "doordash": "integrations.sources.doordash.DoorDash",
    "grubhub": "integrations.sources.grubhub.Grubhub",
    "lightspeed": "integrations.sources.lightspeed.Lightspeed",
    "olo": "integrations.sources.olo.Olo",
    "otter": "integrations.sources.otter.Otter",
    "power_automate": "integrations.sources.power_automate.PowerAutomate",
    "rest": "integrations.sources.rest.Rest",
    "shopify": "integrations.sources.shopify.Shopify",
    "square": "integrations.sources.square.Square",
    "toast": "integrations.sources.toast.Toast",
    "uber_eats": "integrations.sources.uber_eats.UberEats",
    "woocommerce": "integrations.sources.woocommerce.WooCommerce",
}


@cache
def provider_class(key: str) -> type[Provider]:
    """The provider class for ``key``; raises LookupError naming the known keys."""
    return cast("type[Provider]", _load(PROVIDERS, key, "provider"))


@cache
def source_class(key: str) -> type[Source]:
    """The source class for ``key``; raises LookupError naming the known keys."""
    return cast("type[Source]", _load(SOURCES, key, "source"))


@cache
def source_setup(key: str) -> Setup:
    """How the source ``key`` is connected; raises LookupError naming the known keys."""
    module = source_class(key).__module__
    return cast("Setup", import_module(f"{module}_setup").SETUP)


def _load(table: Mapping[str, str], key: str, kind: str) -> object:
    try:
        module, _, name = table[key].rpartition(".")
    except KeyError:
        raise LookupError(f"no {kind} '{key}'; known: {', '.join(sorted(table))}") from None
    return getattr(import_module(module), name)
