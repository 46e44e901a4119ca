"""The console's pages about what we say and whether it arrived, and the page of an order."""

from notifications.admin import (
    accounts,
    deliveries,
    health,
    inbound,
    notifications,
    orders,
    routes,
    templates,
)

__all__ = [
    "accounts",
    "deliveries",
    "health",
    "inbound",
    "notifications",
    "orders",
    "routes",
    "templates",
]
