"""SendGrid's own lists of who gets no mail: what we tell them, and how they are read.

A choice about order news is about the group our messages belong to, one about everything is about
the global list, which stops all mail of the SendGrid account. Pages: twilio.com/docs/sendgrid,
suppressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from integrations.contracts import Channel, Choice, HttpResponse, Receipt, ReceiptKind, StopList
from integrations.errors import RecipientUnreachable
from integrations.payloads import objects, text

_PAGE = 500
_GROUP = "group"
#: list -> what an entry of it is for us; read in this order, the group last
_LISTS: Mapping[str, tuple[ReceiptKind, str]] = {
    "unsubscribes": (ReceiptKind.UNSUBSCRIBED, ""),
    "spam_reports": (ReceiptKind.COMPLAINED, ""),
    "bounces": (ReceiptKind.BOUNCED, RecipientUnreachable.code),
    "invalid_emails": (ReceiptKind.BOUNCED, RecipientUnreachable.code),
}


def told(choice: Choice, group: str) -> Iterator[tuple[str, str, Any]]:
    """(method, path, JSON body) of what tells SendGrid; nothing where it has no list for it."""
    path = "/v3/asm/suppressions/global"
    if choice.purpose == "order_updates" and group:
        path = f"/v3/asm/groups/{group}/suppressions"
    elif choice.purpose:
        return
    if choice.channel != Channel.EMAIL:
        return
    if choice.is_stopped:
        yield "POST", path, {"recipient_emails": [choice.to.strip()]}
    else:
        yield "DELETE", f"{path}/{quote(choice.to.strip(), safe='')}", None


def page_path(since: datetime, page: str, group: str) -> str:
    """Path and query of one page; ``page`` is "list:offset", "" the first."""
    name, _, offset = (page or "unsubscribes:0").partition(":")
    if name == _GROUP:
        return f"/v3/asm/groups/{group}/suppressions"
    query = {"start_time": str(int(since.timestamp())), "limit": str(_PAGE), "offset": offset}
    return f"/v3/suppression/{name}?{urlencode(query)}"


def read_page(response: HttpResponse, page: str, group: str) -> StopList:
    """The entries of a page, and which page follows."""
    name, _, offset = (page or "unsubscribes:0").partition(":")
    listed = response.json()
    entries = listed if isinstance(listed, list) else []
    if name == _GROUP:
        return StopList(tuple(_members(entries, group)))
    found = tuple(_entries(entries, name))
    if len(entries) >= _PAGE:
        return StopList(found, f"{name}:{int(offset) + _PAGE}")
    names = [*_LISTS, *([_GROUP] if group else [])]
    following = names[names.index(name) + 1 :][:1]
    return StopList(found, f"{following[0]}:0" if following else "")


def _entries(entries: list[Any], name: str) -> Iterator[Receipt]:
    kind, error = _LISTS[name]
    for entry in objects(entries):
        mailbox, at = text(entry.get("email"), 320), _moment(entry.get("created"))
        if mailbox:
            yield Receipt(
                kind=kind,
                # the lists have no ids: an address is on one once
                vendor_id=f"{name}:{entry.get('created')}",
                vendor_time=at,
                vendor_code=name,
                error=error,
                recipient=mailbox,
            )


def _members(entries: list[Any], group: str) -> Iterator[Receipt]:
    """A group's members have no dates."""
    for mailbox in entries:
        if isinstance(mailbox, str) and mailbox:
            yield Receipt(
                kind=ReceiptKind.UNSUBSCRIBED,
                vendor_id=f"{_GROUP}:{group}",
                vendor_code=_GROUP,
                recipient=mailbox[:320],
            )


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(value, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
