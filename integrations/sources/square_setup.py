"""How a manager connects Square."""

from __future__ import annotations

from integrations.contracts import Setup

SETUP = Setup(
    steps=(
        "Open your application in Square's developer console and choose Webhooks, Subscriptions, "
        "Add subscription.",
        "Paste the address from this page as Notification URL, exactly as it stands: Square signs "
        "it.",
        "Tick order.created, order.updated and order.fulfillment.updated.",
        "Save, then copy the Signature key Square shows into “Webhook signature key” below.",
        "Copy an access token with ORDERS_READ into “Access token”; the orders themselves are "
        "fetched with it.",
        "Add your Square location id to the kitchen's names, and below to be asked for changes.",
    ),
    live_test="In the console open the subscription and press “Send test event”, or ring up a "
    "small order at the till.",
    streams={"order": "the order", "fulfillment": "a fulfilment (part)"},
    tells_note="Square Online may write to guests of online orders itself. Look there, and tick "
    "what it tells.",
)
