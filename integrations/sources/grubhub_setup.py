"""How a manager connects Grubhub."""

from __future__ import annotations

from integrations.contracts import Setup, State

SETUP = Setup(
    steps=(
        "Choose a user and a long password here, and save.",
        "Give Grubhub's integration team the address from this page with user and password; they "
        "set it after a test.",
        "Ask for order status changes and driver updates.",
        "Put your own order id into client_data.external_id when you book a courier: it joins "
        "courier and order.",
        "Add the merchant id to the kitchen's names.",
    ),
    live_test="Ask Grubhub for their emulateStatusUpdateWebhook test, or book a courier at the "
    "pre-production host.",
    invented={"password": "{}"},
    observes="We listen only: a Grubhub order is never confirmed or rejected from here.",
    streams={
        "connect.delivery": "a Connect delivery",
        "marketplace.order": "a Marketplace order",
    },
    tells_guest=frozenset({State.RECEIVED, State.ACCEPTED, State.CANCELLED}),
    tells_note="Grubhub tells its marketplace guests everything; we never have their number. "
    "Connect deliveries of your own orders are yours to tell.",
)
