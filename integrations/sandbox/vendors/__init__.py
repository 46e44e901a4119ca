"""Every stand-in. A new vendor is one file here and one line below."""

from __future__ import annotations

from integrations.sandbox.vendors.airship import Airship
from integrations.sandbox.vendors.apprise import Apprise
from integrations.sandbox.vendors.base import SandboxVendor
from integrations.sandbox.vendors.cloudevents import CloudEvents
from integrations.sandbox.vendors.clover import Clover
from integrations.sandbox.vendors.deliverect import Deliverect
from integrations.sandbox.vendors.doordash import DoorDash
from integrations.sandbox.vendors.fcm import Fcm
from integrations.sandbox.vendors.freshdesk import Freshdesk
from integrations.sandbox.vendors.google_chat import GoogleChat
from integrations.sandbox.vendors.grubhub import Grubhub
from integrations.sandbox.vendors.hubspot import HubSpot
from integrations.sandbox.vendors.klaviyo import Klaviyo
from integrations.sandbox.vendors.lightspeed import Lightspeed
from integrations.sandbox.vendors.mailgun import Mailgun
from integrations.sandbox.vendors.messenger import Messenger
from integrations.sandbox.vendors.olo import Olo
from integrations.sandbox.vendors.otter import Otter
from integrations.sandbox.vendors.partner_webhook import PartnerWebhook
from integrations.sandbox.vendors.plivo import Plivo
from integrations.sandbox.vendors.power_automate import PowerAutomate
from integrations.sandbox.vendors.pusher import Pusher
from integrations.sandbox.vendors.sendgrid import SendGrid
from integrations.sandbox.vendors.shopify import Shopify
from integrations.sandbox.vendors.signalwire import SignalWire
from integrations.sandbox.vendors.slack import Slack
from integrations.sandbox.vendors.square import Square
from integrations.sandbox.vendors.teams import Teams
from integrations.sandbox.vendors.telegram import Telegram
from integrations.sandbox.vendors.toast import Toast
from integrations.sandbox.vendors.twilio import Twilio
from integrations.sandbox.vendors.uber_eats import UberEats
from integrations.sandbox.vendors.web_push import WebPush
from integrations.sandbox.vendors.whatsapp import WhatsApp
from integrations.sandbox.vendors.woocommerce import WooCommerce
from integrations.sandbox.vendors.zendesk import Zendesk

VENDORS: tuple[type[SandboxVendor], ...] = (
    Twilio,
    Mailgun,
    Slack,
    Square,
    UberEats,
    CloudEvents,
    Otter,
    Deliverect,
    DoorDash,
    Grubhub,
    PartnerWebhook,
    Plivo,
    SignalWire,
    SendGrid,
    Teams,
    GoogleChat,
    Telegram,
    WooCommerce,
    WhatsApp,
    Olo,
    Pusher,
    WebPush,
    Lightspeed,
    Shopify,
    Messenger,
    Toast,
    Fcm,
    Clover,
    HubSpot,
    Klaviyo,
    Zendesk,
    Freshdesk,
    Airship,
    PowerAutomate,
    Apprise,
)
