"""What the sandbox remembers: accounts, messages, replies, planted orders, its own settings.

In memory only and for one event loop: nothing here locks. ``version`` grows with every change
a page could show, so that a poller can ask "anything new since?" without comparing bodies.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from integrations.sandbox.faults import FaultPlan

#: newest messages kept; older ones are forgotten
MESSAGES_KEPT = 5_000
REPLIES_KEPT = 500
EVENTS_KEPT = 200
#: headers whose value is a credential, never stored
_CREDENTIAL_HEADERS = frozenset({"authorization", "cookie", "x-api-key", "api-key"})
_SPOKEN_ORDER = re.compile(r"#([A-Za-z]{0,6}-?\d{2,12})\b|\b[Oo]rder ([A-Z]{0,6}-?\d{2,12})\b")


@dataclass(slots=True)
class SandboxSettings:
    """The knobs of ``POST /_sandbox/settings``."""

    #: keep messages (off for benchmarks: they are answered and forgotten)
    record: bool = True
    #: how long every vendor takes to answer, milliseconds
    latency_ms: float = 0.0
    #: post receipts back at all
    receipts: bool = True
    #: time from acceptance to the "sent" and to the "delivered" receipt, milliseconds
    sent_after_ms: float = 300.0
    delivered_after_ms: float = 800.0

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set the named knobs. Raises ValueError for an unknown name or a wrong type."""
        for name, value in changes.items():
            current = getattr(self, name, None)
            if current is None:
                raise ValueError(f"unknown setting '{name}'")
            if isinstance(current, bool):
                if not isinstance(value, bool):
                    raise ValueError(f"'{name}' is true or false")
            elif isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ValueError(f"'{name}' is a number of milliseconds")
        for name, value in changes.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """All knobs by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class SandboxAccount:
    """One account of ours as the vendor knows it.

    ``webhook_url`` is the public URL the vendor was told, and what it signs; ``deliver_to`` is
    where that URL can really be reached from here.
    """

    vendor: str
    settings: Mapping[str, str]
    webhook_url: str = ""
    deliver_to: str = ""

    def target(self, public_url: str) -> str:
        """Where to POST a call for ``public_url``; "" when it is none of this account's URLs.

        Only the registered server is ever called, so the sandbox cannot be made to post
        anywhere else by a URL inside a message.
        """
        if not self.webhook_url or not self.deliver_to:
            return ""
        if public_url.startswith(self.webhook_url):
            return self.deliver_to + public_url[len(self.webhook_url) :]
        public, known = urlsplit(public_url), urlsplit(self.webhook_url)
        if (public.scheme, public.netloc) != (known.scheme, known.netloc):
            return ""
        reachable = urlsplit(self.deliver_to)
        return public._replace(scheme=reachable.scheme, netloc=reachable.netloc).geturl()


class SandboxMessage:
    """One message a vendor accepted. What only the wall and tests read is computed on reading."""

    __slots__ = (
        "account",
        "at",
        "attempt",
        "channel",
        "extra",
        "html",
        "id",
        "order_number",
        "raw",
        "receipts",
        "sender",
        "serial",
        "subject",
        "text",
        "to",
        "vendor",
    )

    def __init__(
        self,
        *,
        vendor: str,
        channel: str,
        account: SandboxAccount,
        id: str,
        to: str,
        text: str,
        raw: Callable[[], dict[str, Any]],
        sender: str = "",
        subject: str = "",
        html: str = "",
        attempt: str = "",
        order_number: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.vendor = vendor
        self.channel = channel
        self.account = account
        self.id = id
        self.to = to
        self.text = text
        self.sender = sender
        self.subject = subject
        self.html = html
        self.attempt = attempt
        self.order_number = order_number
        self.at = time.time()
        self.receipts: list[dict[str, Any]] = []
        self.serial = 0
        #: the request as received, for people
        self.raw = raw
        #: what else the vendor shows: lines, buttons, variables
        self.extra = extra or {}

    @property
    def day(self) -> str:
        """The UTC day of acceptance, YYYY-MM-DD."""
        return time.strftime("%Y-%m-%d", time.gmtime(self.at))

    @property
    def rfc2822(self) -> str:
        """The moment of acceptance as older APIs write it."""
        return time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(self.at))

    @property
    def order(self) -> str:
        """The order number a reader of the message sees, "" if it names none."""
        if self.order_number:
            return self.order_number
        found = _SPOKEN_ORDER.search(self.subject) or _SPOKEN_ORDER.search(self.text)
        return (found[1] or found[2]) if found else ""

    def is_about(self, order: str) -> bool:
        """Whether ``order`` stands as a whole word in what the vendor was given to say."""
        word = _word(order)
        return (
            self.order_number == order
            or word.search(self.text) is not None
            or word.search(self.subject) is not None
            or any(word.search(value) for value in _strings(self.extra))
        )

    def as_json(self, *, whole: bool = True) -> dict[str, Any]:
        """The public shape of a message; not ``whole``: without its HTML and the request."""
        shape: dict[str, Any] = {
            "id": self.id,
            "serial": self.serial,
            "vendor": self.vendor,
            "channel": self.channel,
            "from": self.sender,
            "to": self.to,
            "text": self.text,
            "subject": self.subject,
            "has_html": bool(self.html),
            "order": self.order,
            "attempt": self.attempt,
            "at": iso(self.at),
            "receipts": self.receipts,
            "extra": dict(self.extra),
        }
        if whole:
            shape["html"] = self.html
            shape["raw"] = self.raw()
        return shape


@dataclass(slots=True)
class SandboxReply:
    """Words somebody sent back from a phone or mailbox, and what our endpoint answered."""

    vendor: str
    id: str
    sender: str
    to: str
    text: str
    #: what the vendor itself said to the person ("You have been unsubscribed ...")
    vendor_note: str = ""
    #: HTTP status of our endpoint, 0 while it was not reached
    status: int = 0
    at: float = field(default_factory=time.time)

    def as_json(self) -> dict[str, Any]:
        """The public shape of a reply."""
        return {
            "id": self.id,
            "vendor": self.vendor,
            "from": self.sender,
            "to": self.to,
            "text": self.text,
            "vendor_note": self.vendor_note,
            "status": self.status,
            "at": iso(self.at),
        }


class SandboxState:
    """Everything one running sandbox knows."""

    def __init__(self) -> None:
        self.settings = SandboxSettings()
        self.faults = FaultPlan()
        self.version = 0
        #: requests answered with acceptance per vendor, recorded or not
        self.accepted: dict[str, int] = {}
        #: resources a vendor can be asked for: (vendor, kind, id) -> JSON
        self.resources: dict[tuple[str, str, str], dict[str, Any]] = {}
        #: (vendor, account key, address) of people who said stop to the vendor
        self.opted_out: set[tuple[str, str, str]] = set()
        self.replies: deque[SandboxReply] = deque(maxlen=REPLIES_KEPT)
        #: what order sources posted to us, as the wall shows it
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._accounts: dict[tuple[str, str, str], SandboxAccount] = {}
        self._by_credential: dict[tuple[str, str], SandboxAccount] = {}
        self._messages: dict[int, SandboxMessage] = {}
        self._by_id: dict[str, SandboxMessage] = {}
        self._serial = 0

    # --- accounts -----------------------------------------------------------------------------

    def add_account(self, account: SandboxAccount, *, name: str, credentials: list[str]) -> None:
        """Register ``account`` under its vendor-side ``name``.

        The same name with the same webhook URL is replaced: its credentials changed.

        ``credentials`` are the values by which a request shows that it is this account's.
        """
        key = (account.vendor, name, account.webhook_url)
        old = self._accounts.pop(key, None)
        if old is not None:
            self._by_credential = {k: a for k, a in self._by_credential.items() if a is not old}
        self._accounts[key] = account
        for credential in credentials:
            self._by_credential[account.vendor, credential] = account
        self.version += 1

    def find_account(self, vendor: str, credential: str) -> SandboxAccount | None:
        """The account a request with ``credential`` belongs to."""
        return self._by_credential.get((vendor, credential))

    def accounts(self, vendor: str = "") -> list[SandboxAccount]:
        """Registered accounts, oldest first."""
        return [a for a in self._accounts.values() if not vendor or a.vendor == vendor]

    # --- messages -----------------------------------------------------------------------------

    def add_message(self, message: SandboxMessage) -> None:
        """Keep ``message`` as the newest one and forget the oldest beyond the bound."""
        self._serial += 1
        message.serial = self._serial
        self._messages[self._serial] = message
        self._by_id[message.id] = message
        if len(self._messages) > MESSAGES_KEPT:
            oldest = self._messages.pop(next(iter(self._messages)))
            self._by_id.pop(oldest.id, None)
        self.version += 1

    def message(self, message_id: str) -> SandboxMessage | None:
        """The message a vendor gave ``message_id``."""
        return self._by_id.get(message_id)

    def messages(self, *, vendor: str = "", order: str = "") -> Iterator[SandboxMessage]:
        """Kept messages, oldest first, of one vendor and about one order when given."""
        for message in self._messages.values():
            if vendor and message.vendor != vendor:
                continue
            if order and not message.is_about(order):
                continue
            yield message

    def newest(self, limit: int) -> list[SandboxMessage]:
        """The ``limit`` newest messages, newest last."""
        return list(self._messages.values())[-limit:]

    def note_receipt(self, message: SandboxMessage, kind: str, status: int) -> None:
        """Remember that a receipt ``kind`` was posted and answered with ``status``."""
        message.receipts.append({"kind": kind, "at": iso(time.time()), "status": status})
        self.version += 1

    def note_event(self, vendor: str, name: str, about: str, status: int) -> None:
        """Remember that an order source posted ``name`` and was answered ``status``."""
        self.events.append(
            {
                "vendor": vendor,
                "name": name,
                "about": about,
                "status": status,
                "at": iso(time.time()),
            }
        )
        self.version += 1

    def clear(self) -> None:
        """Forget messages, replies, events and opt-outs; accounts, resources and settings stay."""
        self._messages.clear()
        self._by_id.clear()
        self.replies.clear()
        self.events.clear()
        self.opted_out.clear()
        self.accepted.clear()
        self.version += 1


def iso(timestamp: float) -> str:
    """Unix seconds as ISO 8601 UTC with milliseconds."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def public_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Request headers without the credentials among them."""
    return {k: v for k, v in headers.items() if k.lower() not in _CREDENTIAL_HEADERS}


@lru_cache(maxsize=256)
def _word(order: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(order)}(?!\w)")


def _strings(value: Any) -> Iterator[str]:
    """Every text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
