"""Order updates the tests send."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from django.utils import timezone


def soon(minutes: float) -> str:
    """The time that many minutes from now, as the API writes it."""
    moment = timezone.now().astimezone(UTC).replace(microsecond=0) + timedelta(minutes=minutes)
    return moment.isoformat().replace("+00:00", "Z")


def full_update(order_id: str = "WEB-1042") -> dict[str, Any]:
    """An order update that uses every member."""
    return {
        "mode": "snapshot",
        "order": {
            "id": order_id,
            "display": "42",
            "aliases": [{"system": "drive", "id": f"d-{order_id}"}],
        },
        "state": "preparing",
        "flags": {"delayed": False},
        "items": [
            {"id": "i1", "label": "Harvest Bowl", "quantity": 1, "modifiers": ["No onion"]},
            {"id": "i2", "label": "Miso Soup", "quantity": 2.5, "modifiers": []},
        ],
        "parts": [
            {
                "id": "bowl-1",
                "kind": "item",
                "label": "Harvest Bowl",
                "quantity": 1,
                "state": "preparing",
                "modifiers": ["No onion"],
                "est_ready_at": soon(20),
            },
            {
                "id": "bag-1",
                "kind": "fulfillment",
                "label": "Bag",
                "state": "preparing",
                "contents": [{"item_id": "i2", "quantity": 2}],
            },
        ],
        "legs": [
            {
                "id": "leg-1",
                "native_state": "assigned",
                "est_delivery_at": soon(45).replace("Z", "+00:00"),
                "courier": {"name": "Sam", "tracking_url": "https://track.example.com/1"},
                "part_ids": ["bowl-1", "bag-1"],
            }
        ],
        "customer": {
            "name": "Maya Alvarez",
            "phone": "+12125550143",
            "email": "maya@example.com",
            "contact_kind": "direct",
            "locale": "en-US",
            "external_id": "c-1",
        },
        "times": {
            "promised_at": soon(45),
            "promised_until": soon(60),
            "est_ready_at": soon(20),
            "est_delivery_at": None,
            "placed_at": "2026-03-14T18:00:00.123456-04:00",
        },
        "fulfillment": {"type": "delivery", "scheduled": False, "table": "7"},
        "location": {"id": "L1", "timezone": "America/New_York"},
        "reason": {"code": "too_busy", "text": "a bus arrived"},
        "courier": {"name": "Sam", "phone_kind": "masked"},
        "note": "ring twice",
    }


def bowls(order_id: str = "WEB-1", *, state: str = "accepted") -> dict[str, Any]:
    """A pickup order of two bowls."""
    return {
        "order": {"id": order_id, "display": order_id[-2:]},
        "state": state,
        "fulfillment": {"type": "pickup"},
        "items": [
            {"id": "i1", "label": "Harvest Bowl"},
            {"id": "i2", "label": "Miso Soup", "quantity": 2},
        ],
        "parts": [
            {"id": "bowl-1", "label": "Harvest Bowl", "state": state},
            {"id": "bowl-2", "label": "Miso Soup", "state": state},
        ],
    }
