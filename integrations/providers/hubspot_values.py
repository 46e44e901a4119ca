"""What is written to HubSpot about one message, as properties: every value is a text.

A contact has one value a property, so each message writes all of them: nothing of an earlier order
stays behind. Events of their own keep every occurrence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from integrations import crm_values
from integrations.contracts import Message

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


def contact_properties(message: Message, prefix: str) -> dict[str, str]:
    """The properties of a contact. ``status_at`` is HubSpot's own form of a time, or ""."""
    at = crm_values.occurred_at(message)
    values = {
        **_texts(message),
        "event": crm_values.once_key(message),
        "status_at": f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else "",
    }
    return {f"{prefix}{each.name}": values[each.name] for each in PROPERTIES}


def event_properties(message: Message) -> dict[str, str]:
    """The properties of an event of its own; its id and time are not among them."""
    texts = _texts(message).items()
    return {f"{EVENT_PREFIX}{name}": value[:_EVENT_VALUE] for name, value in texts}


def mail_values(message: Message) -> dict[str, str]:
    """What a mail of HubSpot's may use as ``custom.order_...``, and our variables by their name."""
    named = {name: crm_values.sendable(str(value)) for name, value in message.variables.items()}
    ours = {f"{EVENT_PREFIX}{name}": value for name, value in _texts(message).items()}
    return {**named, **ours}


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
