"""How a manager connects WooCommerce."""

from __future__ import annotations

from integrations.contracts import Setup, State

SETUP = Setup(
    steps=(
        "Save this page first: the shop tests the address when its webhook is switched on.",
        "In WordPress open WooCommerce, Settings, Advanced, Webhooks, Add webhook.",
        "Status Active, topic Order updated, the address from this page as Delivery URL, and the "
        "secret exactly as entered here.",
        "Save there. WooCommerce sends a ping at once, shown here as “Address tested”.",
        "Add a second webhook with the topic Order created in the same way.",
        "Under Advanced, REST API make a key with read permission and enter it here: a shop never "
        "repeats a call, so we ask for what was missed.",
    ),
    live_test="Place an order in the shop, or change the status of an old one.",
    invented={"webhook_secret": "{}"},
    streams={"order": "the order"},
    tells_guest=frozenset({State.RECEIVED, State.ACCEPTED, State.PICKED_UP, State.DELIVERED}),
    tells_note="WooCommerce mails these (On hold, Processing, Completed) unless they are switched "
    "off under Settings, Emails.",
)
