"""How a manager connects Deliverect."""

from __future__ import annotations

from integrations.contracts import Setup

SETUP = Setup(
    steps=(
        "Reporting: ask Deliverect to send new orders, status updates and courier updates of your "
        "account to the address from this page.",
        "Channel: enter the address from this page as register webhook. Deliverect asks it for "
        "the addresses it needs, and we answer.",
        "Enter the secret: the partner secret, or before certification the channel link id.",
        "With an API token and the path of an order every status is checked against the order.",
        "Add Deliverect's location id to the kitchen's names.",
    ),
    live_test="Send a test order from Deliverect's channel simulator.",
    observes="We listen only: no order is accepted, denied or changed at Deliverect from here.",
    streams={"order_status": "the order", "courier_status": "the courier"},
    tells_note="Marketplaces behind Deliverect tell their guests themselves; their numbers are "
    "masked, and we never write to those. Guests of your own channels are yours.",
)
