"""How a manager connects Lightspeed."""

from __future__ import annotations

from integrations.contracts import Setup

SETUP = Setup(
    steps=(
        "Choose a user and a long password here, and save.",
        "Register the endpoint with Lightspeed's Order and Pay API: PUT /o/wh/1/webhook with the "
        "address from this page as url, withBasicAuth true and the same user and password.",
        "Enter the endpointId you chose; it is case-sensitive.",
        "Ask whoever places your online orders to name this endpointId: only such orders are "
        "reported.",
        "Add the business location id to the kitchen's names.",
    ),
    live_test="Place an online order through the system that names this endpoint.",
    invented={"password": "{}"},
    streams={"order": "the order"},
    tells_note="The system that takes the order usually confirms it; Lightspeed writes to nobody.",
)
