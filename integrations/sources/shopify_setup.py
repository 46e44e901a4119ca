"""How a manager connects Shopify."""

from __future__ import annotations

from integrations.contracts import Setup, State

SETUP = Setup(
    steps=(
        "In your shop's admin create a custom app with read_orders and "
        "read_merchant_managed_fulfillment_orders.",
        "Copy its client secret and Admin API access token into the fields below.",
        "Subscribe the app (not the shop's Notifications page, which signs with another key) to "
        "orders/create, orders/updated, orders/edited, orders/cancelled, fulfillments/*, "
        "fulfillment_events/create and fulfillment_orders/*, as JSON, at the address from this "
        "page.",
        "Add the id of the shop's location to the kitchen's names.",
    ),
    live_test="Place a test order with the Bogus Gateway, then mark it as prepared.",
    streams={
        "order": "the order",
        "fulfillment_order": "a fulfilment order (part)",
        "fulfillment_event": "the delivery",
    },
    tells_guest=frozenset(
        {
            State.RECEIVED,
            State.READY,
            State.OUT_FOR_DELIVERY,
            State.PICKED_UP,
            State.DELIVERED,
            State.CANCELLED,
        }
    ),
    tells_note="Shopify mails these unless they are switched off under Settings, Notifications. "
    "Let us tell “Ready” if guests should get a text as well.",
)
