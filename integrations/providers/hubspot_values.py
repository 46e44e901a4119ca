"""What is written to HubSpot about one message, as properties: every value is a text.

A contact has one value a property, so each message writes all of them: nothing of an earlier order
stays behind. Events of their own keep every occurrence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from integrations import crm_values
from integrations.contracts import HttpResponse, Message
from integrations.payloads import objects, text

#: characters a property of an event may take; contacts take 65,536
_EVENT_VALUE = 256
#: how the properties of an event and the custom values of a mail begin
EVENT_PREFIX = "order_"


class Property(NamedTuple):
    """A property a manager creates once; ``name`` follows the prefix of the account."""

    name: str
    label: str
    #: HubSpot's type and field type
    kind: str = "string"
    field: str = "text"


#: written to contacts; the first one changes with every message, so it starts the workflow
PROPERTIES: tuple[Property, ...] = (
    Property("event", "Order news id"),
    Property("news", "Order news"),
    Property("number", "Order number"),
    Property("status", "Order status"),
    Property("status_at", "Order news at", "datetime", "date"),
    Property("subject", "Order news subject"),
    Property("text", "Order news text", "string", "textarea"),
    Property("eta", "Order expected at"),
    Property("parts", "Order parts ready"),
    Property("part", "Order part"),
    Property("url", "Order page"),
    Property("name", "Order first name"),
    Property("language", "Order language"),
    Property("restaurant", "Order restaurant"),
    Property("attempt", "Order message id"),
)


def contact_gaps(response: HttpResponse, prefix: str) -> list[str]:
    """Of the contact properties that are listed: those that are missing, in one sentence."""
    known = {text(each.get("name")) for each in objects(response.json_object().get("results"))}
    wanted = [f"{prefix}{each.name}" for each in PROPERTIES]
    missing = [name for name in wanted if name not in known]
    return [f"HubSpot lacks the contact properties {', '.join(missing)}."] if missing else []


def contact_properties(message: Message, prefix: str) -> dict[str, str]:
    """The properties of a contact. ``status_at`` is HubSpot's own form of a time, or ""."""
    at = crm_values.occurred_at(message)
    values = {
        **_texts(message),
        "event": crm_values.once_key(message),
        "status_at": f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else "",
    }
    return {f"{prefix}{each.name}": values[each.name] for each in PROPERTIES}


def event_body(message: Message, to: str, event_name: str) -> dict[str, Any]:
    """One occurrence of a custom event; its id and time are not among its properties."""
    at = crm_values.occurred_at(message)
    texts = _texts(message).items()
    return {
        "eventName": event_name,
        "email": to,
        "uuid": crm_values.once_key(message),
        **({"occurredAt": f"{at:%Y-%m-%dT%H:%M:%SZ}"} if at else {}),
        "properties": {f"{EVENT_PREFIX}{name}": value[:_EVENT_VALUE] for name, value in texts},
    }


def mail_body(message: Message, to: str, email_id: int, reply_to: str) -> dict[str, Any]:
    """One single-send: ``custom.order_...`` in the mail, and our variables by their own names."""
    named = {name: crm_values.sendable(str(value)) for name, value in message.variables.items()}
    ours = {f"{EVENT_PREFIX}{name}": value for name, value in _texts(message).items()}
    return {
        "emailId": email_id,
        "message": {
            "to": to,
            "sendId": crm_values.once_key(message),
            **({"replyTo": [reply_to]} if reply_to else {}),
        },
        "customProperties": {**named, **ours},
    }


def _texts(message: Message) -> Mapping[str, str]:
    known = crm_values.values_of(message)
    total = known["parts_total"]
    return {
        "news": known["news"],
        "number": known["order_number"],
        "status": known["status"],
        "subject": known["subject"],
        "text": known["text"],
        "eta": known["eta"],
        "parts": f"{known['parts_ready']} of {total}" if total not in ("", "0") else "",
        "part": known["part"],
        "url": known["url"],
        "name": known["first_name"],
        "language": known["language"],
        "restaurant": known["restaurant"],
        "attempt": known["attempt_id"],
    }
