"""How a manager connects Toast."""

from __future__ import annotations

from integrations.contracts import Setup

SETUP = Setup(
    steps=(
        "Ask Toast's integration team (or your partner portal) for a subscription to "
        "order_updated of your restaurants.",
        "Give them the address from this page and an e-mail for failures. It needs no login and "
        "never redirects.",
        "Enter the secret of the subscription as “Webhook secret”.",
        "For guests' names and numbers enter an API token with orders:read and guest.pi:read: "
        "Toast's calls carry none.",
        "Enter the restaurant's GUID, here to be asked for changes, and among the kitchen's names.",
    ),
    live_test="Ring up an order at a test terminal; Toast sends each change within seconds.",
    streams={
        "order.approvalStatus": "the order's approval",
        "selection.fulfillmentStatus": "a dish (part)",
        "deliveryInfo.deliveryState": "the delivery",
        "guestOrderStatus": "the status shown to the guest",
    },
    tells_note="Toast Online Ordering may write to its guests itself. Look there, and tick what it "
    "tells.",
)
