"""How a manager connects DoorDash."""

from __future__ import annotations

from integrations.contracts import Setup, State

SETUP = Setup(
    steps=(
        "In DoorDash's developer portal open Webhooks and add an endpoint with the address from "
        "this page.",
        "As authentication choose a token and enter the same value here, with Basic or Bearer in "
        "front.",
        "Drive: subscribe to delivery events.",
        "Marketplace: subscribe to Dasher Status Updates and Order Canceled only. Never Orders: "
        "our 200 would accept them.",
        "Add the store's id to the kitchen's names.",
    ),
    live_test="Drive: run the delivery simulator of the portal. Marketplace: place an order at the "
    "test store.",
    invented={"authorization": "Bearer {}"},
    observes="We listen only: a DoorDash order is never accepted, denied or cancelled from here. "
    "Never subscribe this address to Marketplace Orders.",
    streams={
        "marketplace.order": "a Marketplace order",
        "marketplace.dasher_status": "the courier of a Marketplace order",
        "drive.event_name": "a Drive delivery",
        "drive.delivery_status": "a Drive delivery, when asked",
    },
    tells_guest=frozenset({State.RECEIVED, State.CANCELLED}),
    tells_note="DoorDash tells its marketplace guests everything; we never have their number. "
    "Drive texts your own guests only where the delivery asks for it.",
)
