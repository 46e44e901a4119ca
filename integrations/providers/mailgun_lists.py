"""Mailgun's own lists of who gets no mail: what we tell them, and how they are read.

The lists belong to a sending domain and a region. An entry of the unsubscribes names tags, "*"
for all, but removing it removes all its tags: so only a choice about everything is told, as any
other could not be taken back alone. Pages: documentation.mailgun.com, suppressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from integrations.contracts import Channel, Choice, HttpResponse, Receipt, ReceiptKind, StopList
from integrations.errors import RecipientUnreachable
from integrations.payloads import inner, objects, text

_PAGE = "1000"
#: list -> what an entry of it is for us; read in this order
_LISTS: Mapping[str, tuple[ReceiptKind, str]] = {
    "unsubscribes": (ReceiptKind.UNSUBSCRIBED, ""),
    "complaints": (ReceiptKind.COMPLAINED, ""),
    "bounces": (ReceiptKind.BOUNCED, RecipientUnreachable.code),
}
#: an unsubscribe counts when it covers all our mail
_ALL = "*"


def told(choice: Choice, domain: str) -> Iterator[tuple[str, str, Any]]:
    """(method, path, JSON body) of what tells Mailgun; nothing where it has no list for it."""
    if choice.channel != Channel.EMAIL or choice.purpose:
        return
    path = f"/v3/{quote(domain, safe='')}/unsubscribes"
    mailbox = choice.to.strip()
    if choice.is_stopped:
        yield "POST", path, [{"address": mailbox, "tags": [_ALL]}]
    else:
        yield "DELETE", f"{path}/{quote(mailbox, safe='')}", None


def page_path(page: str, domain: str) -> str:
    """Path and query of one page; ``page`` is "list?query", "" the first."""
    name, _, query = (page or "unsubscribes").partition("?")
    return f"/v3/{quote(domain, safe='')}/{name}?{query or urlencode({'limit': _PAGE})}"


def read_page(response: HttpResponse, page: str) -> StopList:
    """The entries of a page, and which page follows. Mailgun lists old and new alike."""
    name = (page or "unsubscribes").partition("?")[0]
    answer = response.json_object()
    entries = objects(answer.get("items"))
    found = tuple(_entries(entries, name))
    # Mailgun names a next page even behind the last one, which is empty
    query = urlsplit(text(inner(answer, "paging").get("next"), 5000)).query
    if entries and query:
        return StopList(found, f"{name}?{query}")
    names = list(_LISTS)
    following = names[names.index(name) + 1 :][:1]
    return StopList(found, following[0] if following else "")


def _entries(entries: Sequence[Mapping[str, Any]], name: str) -> Iterator[Receipt]:
    kind, error = _LISTS[name]
    for entry in entries:
        mailbox, tags = text(entry.get("address"), 320), entry.get("tags")
        if not mailbox or (isinstance(tags, list) and tags and _ALL not in tags):
            continue  # stopped one kind of mail, which need not be ours
        at = _moment(entry.get("created_at"))
        yield Receipt(
            kind=kind,
            # the lists have no ids: an address is on one once
            vendor_id=f"{name}:{at.isoformat() if at else ''}",
            vendor_time=at,
            vendor_code=(text(entry.get("code")) or name)[:60],
            error=error,
            recipient=mailbox,
        )


def _moment(stamp: object) -> datetime | None:
    """ "Thu, 11 Dec 2025 01:49:40 UTC", in UTC; None for anything else."""
    try:
        found = parsedate_to_datetime(stamp) if isinstance(stamp, str) else None
    except ValueError:
        return None
    if found is None:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
