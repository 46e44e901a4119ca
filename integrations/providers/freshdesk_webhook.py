"""What a Freshdesk automation rule posts to us: words of a requester.

Freshdesk signs nothing. A secret we and the rule know proves the call, in a header of our own or
as the password of HTTP Basic; what it carries is believed as far as that goes (freshdesk.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from integrations.contracts import Channel, InboundCall, Reply
from integrations.errors import PayloadMalformed
from integrations.payloads import inner, is_storable, load_object, sha256, text
from integrations.providers.freshdesk_ticket import MARK
from integrations.signatures import require_basic, require_value
from integrations.tickets import mailbox, said_words, ticket_of

HEADER = "X-Order-Up-Secret"
USER = "order-up"
#: the same words in one ticket within this time are one call told twice
REPEATED_WITHIN_S = 600
_EVENTS = frozenset({"", "customer_reply", "ticket_created"})
#: "Ana Silva : <div>...": Freshdesk puts the author in front of a comment's markup
_AUTHOR = re.compile(r"\A\s*([^<>\n]{1,120}?) ?:\s*(?=<)")


def verify(call: InboundCall, secrets: Iterable[str]) -> None:
    """Raise SignatureInvalid unless ``call`` carries one of ``secrets``; constant time."""
    known = [secret for secret in secrets if secret]
    given = call.headers.get(HEADER.lower(), "")
    if not given and known and call.headers.get("authorization"):
        require_basic(given=call.headers["authorization"], user=USER, passwords=known)
        return
    require_value(header=HEADER, given=given, allowed=known, what="webhook secret")


def read_reply(call: InboundCall) -> Reply | None:
    """The requester's words; None for what others said, ours above all.

    Raises PayloadMalformed for a body that names no ticket.
    """
    if not call.body.strip():
        return None
    body = _fields(call)
    event = text(_first(body, "event"))
    if event not in _EVENTS:
        return None
    ticket = ticket_of(text(_first(body, "ticket_id")))
    if not ticket:
        raise PayloadMalformed("ticket_id: not the number of a ticket")
    sender = mailbox(text(_first(body, "requester_email", "ticket_requester_email"), 255))
    said = _said(body)
    if said is None or not sender:
        return None
    moment = int(call.received_at.timestamp()) // REPEATED_WITHIN_S
    return Reply(
        channel=Channel.HELPDESK,
        sender=sender,
        text=said[:10_000],
        # a rule has no event id to give
        vendor_id=f"{ticket}:{moment}:{sha256(said.encode('utf-8', 'replace'))[:40]}",
        thread=ticket,
    )


def _said(body: Mapping[str, Any]) -> str | None:
    """The words of a comment, else subject and description; None when we wrote them."""
    comment = str(_first(body, "text", "ticket_latest_public_comment") or "")
    author = _AUTHOR.match(comment)
    if author is not None:
        requester = text(_first(body, "requester_name", "ticket_requester_name"))
        if requester and requester.casefold() != author[1].strip().casefold():
            return None
        comment = comment[author.end() :]
    if comment.strip():
        # a guest's answer may quote our mark: only what stands in front of the quotation counts
        said = said_words(comment)
        return None if MARK.search(said) else said
    subject = text(_first(body, "subject", "ticket_subject"), 300)
    described = said_words(str(_first(body, "description", "ticket_description") or ""))
    return None if MARK.search(described) else f"{subject}\n{described}".strip()


def _fields(call: InboundCall) -> Mapping[str, Any]:
    """The members by name, out of JSON (simple or advanced) or a form."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        found = load_object(call.body, loose=True)
        return inner(found, "freshdesk_webhook") or found
    try:
        pairs = parse_qsl(call.body.decode("utf-8"), max_num_fields=100)
    except ValueError as error:
        raise PayloadMalformed("the body is not a form") from error
    if not all(is_storable(value) for _, value in pairs):
        raise PayloadMalformed("the form holds characters nobody can store")
    # freshdesk_webhook[ticket_id] of the simple form
    return {name.removeprefix("freshdesk_webhook[").removesuffix("]"): v for name, v in pairs}


def _first(body: Mapping[str, Any], *names: str) -> Any:
    return next((body[name] for name in names if body.get(name)), None)
