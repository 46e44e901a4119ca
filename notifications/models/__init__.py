"""What we say and whether it arrived: accounts, routes, templates, the outbox and its receipts."""

from notifications.models.account import ProviderAccount, StreamPosition
from notifications.models.delivery import (
    Attempt,
    Delivery,
    DeliveryState,
    Heartbeat,
    InboundMessage,
    Notification,
    Receipt,
)
from notifications.models.route import MessageTemplate, MessageTemplateVersion, Route
from notifications.models.vendor_list import PushState, VendorListPosition, VendorListPush

__all__ = [
    "Attempt",
    "Delivery",
    "DeliveryState",
    "Heartbeat",
    "InboundMessage",
    "MessageTemplate",
    "MessageTemplateVersion",
    "Notification",
    "ProviderAccount",
    "PushState",
    "Receipt",
    "Route",
    "StreamPosition",
    "VendorListPosition",
    "VendorListPush",
]
