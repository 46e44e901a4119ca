"""What happened: restaurants, their sources, the calls they made, and the orders read from them."""

from orders.models.order import Item, Observation, Order, OrderAlias, OrderEvent, Part
from orders.models.restaurant import ApiKey, IdempotentCall, Location, Membership, Restaurant
from orders.models.source import (
    InboundCall,
    ParkedUpdate,
    PendingFollowUp,
    SourceAccount,
    StatusMapChange,
    UnknownWord,
)

__all__ = [
    "ApiKey",
    "IdempotentCall",
    "InboundCall",
    "Item",
    "Location",
    "Membership",
    "Observation",
    "Order",
    "OrderAlias",
    "OrderEvent",
    "ParkedUpdate",
    "Part",
    "PendingFollowUp",
    "Restaurant",
    "SourceAccount",
    "StatusMapChange",
    "UnknownWord",
]
