"""How a manager connects any system that posts CloudEvents."""

from __future__ import annotations

from integrations.contracts import Setup

SETUP = Setup(
    steps=(
        "Give the sender the address from this page and the signing secret.",
        "It posts application/cloudevents+json with the order update as data; the README holds an "
        "example to copy.",
        "It signs: X-Alert-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of t, a dot and the "
        "body>. A sender that cannot may use the bearer token.",
        "Add the location id it sends to the kitchen's names.",
    ),
    live_test="Run the example of the README with this address and secret.",
    invented={"secret": "whsec-{}"},
    streams={"order": "the order", "part": "a part", "leg": "a courier's trip"},
    tells_note="Whether the sender writes to guests is for you to know.",
)
