"""CloudEvents whose data is elsewhere: fetched from the one address the account allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from integrations import payloads
from integrations.canonical import Statement
from integrations.contracts import FollowUp, HttpRequest, HttpResponse, ordering_key
from integrations.errors import PayloadMalformed
from integrations.sources.cloudevents_modes import Event

_LINK = re.compile(r"[\x21-\x7e]{1,1000}")


def is_thin(event: Event) -> bool:
    """Whether the data has to be fetched: none came, or no more than the order's name."""
    if not event.text("dataref"):
        return False
    return event.data is None or (isinstance(event.data, dict) and set(event.data) == {"order"})


def ask(event: Event, statement: Statement, account: Mapping[str, str], base_url: str) -> FollowUp:
    """The request for the data of ``event``. Raises PayloadMalformed."""
    base = account.get("dataref_base", "").strip().rstrip("/")
    if not base:
        raise PayloadMalformed("event.dataref: fetching data is switched off for this account")
    link, subject = event.text("dataref"), event.text("subject")
    path = urlsplit(link.removeprefix(base)).path
    if not link.startswith(base + "/") or ".." in path or not _LINK.fullmatch(link):
        raise PayloadMalformed("event.dataref: not at the address this account allows")
    token = account.get("dataref_token", "")
    return FollowUp(
        request=HttpRequest.get(
            base_url + link.removeprefix(base),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            untrusted_url=True,
        ),
        # every event has data of its own: none may stand in for another's
        coalesce_key=payloads.key_within(f"dataref:{event.key}"),
        order_id=payloads.text(subject.removeprefix("orders/")),
        context={
            "subject": subject,
            "key": statement.event_key,
            "ordering_key": statement.ordering_key,
            "time": payloads.iso(statement.occurred_at) or "",
        },
    )


def statement_of(follow_up: FollowUp, response: HttpResponse, received_at: datetime) -> Statement:
    """Who says the fetched data, and when: the event, as far as we know it."""
    context = follow_up.context
    at = payloads.time(context.get("time"), "event.time")
    return Statement(
        event_key=context.get("key") or f"data|{payloads.sha256(response.body)}",
        ordering_key=context.get("ordering_key") or ordering_key(at or received_at),
        occurred_at=at,
        occurred_at_basis="event" if at else "arrival",
    )


def subject_of(follow_up: FollowUp, data: Any) -> str:
    """What the data has to be about. Raises PayloadMalformed."""
    if subject := follow_up.context.get("subject"):
        return subject
    order = payloads.inner(payloads.as_object(data, "data"), "order")
    return f"orders/{payloads.text(order.get('id'))}"
