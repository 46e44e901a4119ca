"""How a manager connects Uber."""

from __future__ import annotations

from integrations.contracts import Setup, State

SETUP = Setup(
    steps=(
        "Uber Eats: do not make this the primary webhook of an app, or its orders wait for our "
        "yes. Let your till's middleware or aggregator forward a copy to the address from this "
        "page.",
        "Enter the client secret of that app, and an access token to read orders with.",
        "Uber Direct: in direct.uber.com open Developer, Webhooks, and paste the address from this "
        "page for event.delivery_status and event.courier_update.",
        "Copy the signing key Uber shows into “Signing key (Direct webhook)”. With the customer id "
        "and a Direct access token, deliveries that fell silent are asked about.",
        "Add the store id to the kitchen's names.",
    ),
    live_test="Uber Direct: create a delivery in test mode. Uber Eats: place an order at the test "
    "store of the app.",
    observes="We listen only: an Uber Eats order is never accepted, denied or cancelled from here. "
    "Keep the till or aggregator as the app that does.",
    streams={
        "order.current_state": "the order",
        "deliveries[].current_state": "the courier of an Eats order",
        "direct.status": "a Direct delivery",
        "dapi.order_status": "a delivery, in the older form",
    },
    tells_guest=frozenset({State.RECEIVED, State.ACCEPTED, State.CANCELLED}),
    tells_note="Uber tells its marketplace guests everything; we never have their number. Courier "
    "news of your own Direct orders is yours to tell.",
)
