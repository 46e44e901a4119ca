"""How a manager connects Otter."""

from __future__ import annotations

from integrations.contracts import Setup

SETUP = Setup(
    steps=(
        "Ask your Otter representative for a manager application, and give them the address from "
        "this page.",
        "Subscribe to orders.new_order, orders.update and delivery.delivery_status_update.",
        "Enter the webhook secret of the application.",
        "For thin events and to be asked for changes enter the API address, an access token and "
        "the store id.",
        "Add the store id to the kitchen's names.",
    ),
    live_test="Send a test order from the developer portal, or place one at a test store.",
    observes="We listen only: no order is accepted, denied or changed at Otter from here.",
    streams={
        "order.status": "the order",
        "orderStatusHistory": "the order's history",
        "courierStatus": "the courier, in an order",
        "deliveryStatus": "a delivery",
    },
    tells_note="Marketplaces behind Otter tell their guests themselves; their numbers are masked, "
    "and we never write to those. Guests of your own channels are yours.",
)
