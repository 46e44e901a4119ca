"""The console's pages about restaurants, sources and what they sent.

The page of an order stands in notifications.admin: it also shows what was told.
"""

from orders.admin import calls, keys, restaurants, sources

__all__ = ["calls", "keys", "restaurants", "sources"]
