"""How a manager connects our own REST API."""

from __future__ import annotations

from integrations.contracts import Setup

SETUP = Setup(
    steps=(
        "Make an API key for this restaurant with orders:write.",
        "Send updates to /api/v1/orders; /api/v1/openapi.json describes them.",
    ),
    live_test="Send a POST to /api/v1/orders with the key.",
    streams={"order": "the order", "part": "a part", "leg": "a courier's trip"},
    tells_note="Whether the sender writes to guests is for you to know.",
)
