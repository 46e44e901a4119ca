"""Order updates through our own REST API; nothing calls a webhook of this source."""

from __future__ import annotations

import hashlib

from integrations.contracts import FollowUp, InboundCall, OrderUpdate, Source, State
from integrations.errors import SignatureInvalid


class Rest(Source):
    """The account REST updates belong to, made with a restaurant's first one.

    A call of its webhook address is always refused: REST updates carry an API key and are read
    and answered by the API itself.
    """

    key = "rest"
    title = "REST API"
    can_state = frozenset(State)

    def verify(self, call: InboundCall) -> None:
        raise SignatureInvalid("REST updates are sent to /api/v1/orders with an API key")

    def event_key(self, call: InboundCall) -> str:
        return hashlib.sha256(call.body).hexdigest()

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        raise SignatureInvalid("REST updates are sent to /api/v1/orders with an API key")
