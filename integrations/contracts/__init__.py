"""The plain values that cross the border between the product and the vendors' adapters.

Nothing here knows the database, Django or a vendor. Outbound: ``Message`` goes in, ``HttpRequest``
comes out, ``HttpResponse`` goes in, ``Accepted`` (or an error of errors.py) comes out. Inbound:
``InboundCall`` goes in; ``Receipt``, ``Reply`` (providers) or ``OrderUpdate`` (sources) come out.
"""

from integrations.contracts.calls import (
    HttpRequest,
    HttpResponse,
    InboundCall,
    Reply200,
    basic_auth,
)
from integrations.contracts.messages import (
    Accepted,
    Choice,
    Message,
    Receipt,
    ReceiptKind,
    Reply,
    StopList,
    StreamEvent,
)
from integrations.contracts.provider import Provider
from integrations.contracts.settings import Capabilities, Channel, Setting
from integrations.contracts.setup import Setup
from integrations.contracts.source import Source
from integrations.contracts.updates import (
    HANDED_OVER,
    RANK,
    TERMINAL,
    Customer,
    FollowUp,
    Observation,
    OrderUpdate,
    State,
    ordering_key,
)

__all__ = [
    "HANDED_OVER",
    "RANK",
    "TERMINAL",
    "Accepted",
    "Capabilities",
    "Channel",
    "Choice",
    "Customer",
    "FollowUp",
    "HttpRequest",
    "HttpResponse",
    "InboundCall",
    "Message",
    "Observation",
    "OrderUpdate",
    "Provider",
    "Receipt",
    "ReceiptKind",
    "Reply",
    "Reply200",
    "Setting",
    "Setup",
    "Source",
    "State",
    "StopList",
    "StreamEvent",
    "basic_auth",
    "ordering_key",
]
