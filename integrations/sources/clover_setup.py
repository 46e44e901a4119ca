"""How a manager connects Clover."""

from __future__ import annotations

from integrations.contracts import Setup

SETUP = Setup(
    steps=(
        "In Clover's developer dashboard open your app, App Settings, Webhooks.",
        "Leave “Clover auth code” below empty and save, then paste the address from this page and "
        "press “Send verification code”.",
        "The code appears on this page. Paste it into the dashboard.",
        "Copy the auth code the dashboard shows then into “Clover auth code” below.",
        "Tick Orders. The app needs permission to read orders and customers.",
        "Enter each merchant's id with its API token, and the merchant id among the kitchen's "
        "names.",
    ),
    live_test="Open an order on the Clover device, or press “Send verification code” again.",
    notice_key="clover:verification:",
    streams={"order": "the order"},
    tells_note="Clover says nothing of the kitchen: ready comes from a kitchen display, our API or "
    "the board.",
)
