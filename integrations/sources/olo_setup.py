"""How a manager connects Olo."""

from __future__ import annotations

from integrations.contracts import Setup

SETUP = Setup(
    steps=(
        "In Olo's dashboard open the webhooks tool and add a webhook for your brand.",
        "Paste the address from this page as destination URL, exactly as it stands: Olo signs it.",
        "Copy the shared secret into the field below. Olo shows it once.",
        "Send the test event; Olo publishes the webhook only after it was answered.",
        "Take the names of further fields and events from Olo's portal: fields below, events in "
        "the table of words.",
    ),
    live_test="Press “Send test event” in Olo's webhooks tool. It says nothing about an order and "
    "shows here as the last event.",
    streams={"order": "the event"},
    tells_note="Olo usually confirms orders itself. Look there, and tick what it tells.",
)
