"""Twilio's own list of who consents to texts of a sender: the Consents API, a pilot.

Stops of everything are told, and that such a stop was taken back, because Twilio's block is of a
whole sender. A toll-free number's block is the network's: the person lifts it by texting START.
Page: twilio.com/docs/messaging/features/consent-api.
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
#: area codes of toll-free numbers in North America
_TOLL_FREE = ("+1800", "+1833", "+1844", "+1855", "+1866", "+1877", "+1888")


def form(choice: Choice, account: Mapping[str, str]) -> list[tuple[str, str]]:
    """The form that tells a stop or its end; [] = nothing to tell."""
    if choice.channel != Channel.SMS or choice.purpose:
        return []
    sender = account.get("messaging_service_sid") or account["sender"]
    if not choice.is_stopped and sender.startswith(_TOLL_FREE):
        return []
    item = {
        "contact_id": choice.to,
        "correlation_id": _correlation_id(choice.event_id),
        "sender_id": sender,
        "status": "opt-out" if choice.is_stopped else "opt-in",
        "source": "others" if choice.is_stopped else "website",
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
