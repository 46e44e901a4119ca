"""HubSpot's own lists of who wants no mail: what we tell them, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from integrations.contracts import Channel, Choice, HttpResponse, Receipt, ReceiptKind, StopList
from integrations.payloads import inner, objects, text
from integrations.providers.hubspot_calls import says_no, stop_properties

_PAGE = 100
_EXPLANATION = "The customer's own choice about order messages."


def changes(
    choice: Choice, account: Mapping[str, str], version: str
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """(path, body) of what tells HubSpot about a choice of mail; nothing for other channels.

    The end of a stop of ours is "not specified", never "subscribed". Who left everything can be
    let in again by nobody but themselves.
    """
    if choice.channel != Channel.EMAIL:
        return
    person = quote(choice.to.strip(), safe="")
    path = f"/communication-preferences/{version}/statuses/{person}"
    if not choice.purpose:
        if choice.is_stopped:
            yield f"{path}/unsubscribe-all?channel=EMAIL", None
        return
    names = {"order_updates": "subscription_id", "marketing": "marketing_subscription_id"}
    subscription = account.get(names.get(choice.purpose, ""), "")
    if subscription:
        body: dict[str, Any] = {
            "channel": "EMAIL",
            "statusState": "UNSUBSCRIBED" if choice.is_stopped else "NOT_SPECIFIED",
            "subscriptionId": int(subscription),
        }
        if account.get("legal_basis"):
            body["legalBasis"] = account["legal_basis"]
            body["legalBasisExplanation"] = _EXPLANATION
        yield path, body


def is_unsubscribed(response: HttpResponse, subscription: str) -> bool:
    """Whether the statuses of a mailbox say so for one subscription type."""
    return any(
        text(found.get("subscriptionId")) == subscription and found.get("status") == "UNSUBSCRIBED"
        for found in objects(response.json_object().get("results"))
    )


def search(since: datetime, page: str, account: Mapping[str, str]) -> dict[str, Any]:
    """The search for contacts changed since then that say no in any of the properties."""
    properties = stop_properties(account)
    changed = {
        "propertyName": "lastmodifieddate",
        "operator": "GTE",
        "value": str(int(since.timestamp() * 1000)),
    }
    groups = [
        {
            "filters": [
                {
                    "propertyName": name,
                    "operator": "EQ",
                    "value": "true" if stop_value else "false",
                },
                changed,
            ]
        }
        for name, stop_value in properties.items()
    ]
    return {
        "filterGroups": groups,
        "properties": ["email", *properties],
        "sorts": [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}],
        "limit": _PAGE,
        **({"after": page} if page else {}),
    }


def read_search(response: HttpResponse, account: Mapping[str, str]) -> StopList:
    """A page of the search: one receipt a contact and property, told once."""
    answer = response.json_object()
    found = []
    for contact in objects(answer.get("results")):
        contact_id, held = text(contact.get("id")), inner(contact, "properties")
        mailbox = text(held.get("email"), 320)
        if not (contact_id and mailbox):
            continue
        for name, stop_value in stop_properties(account).items():
            if says_no(held.get(name), stop_value):
                found.append(
                    Receipt(
                        kind=ReceiptKind.UNSUBSCRIBED,
                        vendor_id=contact_id,
                        vendor_code=name[:60],
                        event_id=f"stop:{contact_id}:{name}",
                        recipient=mailbox,
                    )
                )
    return StopList(tuple(found), text(inner(answer, "paging", "next").get("after")))
