"""Twilio's own list of who consents to texts of a sender: the Consents API, a pilot.

Only stops of everything are told. Twilio's block is of a whole sender, and what it blocks the
person lifts by texting START. Page: twilio.com/docs/messaging/features/consent-api.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from uuid import NAMESPACE_URL, UUID, uuid5

from integrations.contracts import Channel, Choice, HttpResponse
from integrations.payloads import objects, text

LIVE_BASE_URL = "https://accounts.twilio.com"
PATH = "/v1/Consents/Bulk"


def form(choice: Choice, account: Mapping[str, str]) -> list[tuple[str, str]]:
    """The form that tells a stop; [] = nothing to tell."""
    if choice.channel != Channel.SMS or choice.purpose or not choice.is_stopped:
        return []
    item = {
        "contact_id": choice.to,
        "correlation_id": _correlation_id(choice.event_id),
        "sender_id": account.get("messaging_service_sid") or account["sender"],
        "status": "opt-out",
        "source": "others",
        "date_of_consent": f"{choice.occurred_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return [("Items", json.dumps(item, separators=(",", ":")))]


def refused_code(response: HttpResponse) -> str:
    """The code of the first item Twilio did not take; "" = it took all of them."""
    for item in objects(response.json_object().get("items")):
        code = text(item.get("error_code"))
        if code and code != "0":
            return code
    return ""


def _correlation_id(event_id: str) -> str:
    """32 characters, the same whenever this choice is told."""
    try:
        return UUID(event_id).hex
    except ValueError:
        return uuid5(NAMESPACE_URL, event_id).hex
