"""The interface one source file fills in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from integrations.contracts.calls import HttpRequest, HttpResponse, InboundCall, Reply200
from integrations.contracts.settings import Setting
from integrations.contracts.updates import FollowUp, OrderUpdate


class Source:
    """One inbound order adapter. Every method is pure; fetching is done by orders.tasks.

    The lifecycle of a call: ``handshake`` -> ``verify`` -> ``event_key`` (store) -> ``parse`` ->
    updates and follow-ups. ``account`` holds the values of the declared settings, ``status_map``
    the manager's additions: {"stream": {"NATIVE": "canonical or empty"}}.
    """

    key: ClassVar[str]
    title: ClassVar[str] = ""
    settings: ClassVar[tuple[Setting, ...]] = ()
    live_base_url: ClassVar[str] = ""
    #: highest speaks for the track when several sources know one order
    priority: ClassVar[Mapping[str, int]] = {"commercial": 10, "kitchen": 30, "courier": 10}
    max_body_bytes: ClassVar[int] = 2 * 1024 * 1024
    #: canonical states this source can state at all (dead-route warning, docs)
    can_state: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        account: Mapping[str, str],
        *,
        base_url: str = "",
        status_map: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.account = account
        self.base_url = (base_url or self.live_base_url).rstrip("/")
        self.status_map = status_map or {}

    @property
    def calls_per_minute(self) -> int:
        """How many calls a minute are taken; more are answered 429. 0 = any number."""
        return 0

    def handshake(self, call: InboundCall) -> Reply200 | None:
        """Answer a URL test that carries no order news; None = an ordinary call."""
        return None

    def verify(self, call: InboundCall) -> None:
        """Raise SignatureInvalid unless ``call`` is the vendor's. Raw bytes, constant time."""
        raise NotImplementedError

    def event_key(self, call: InboundCall) -> str:
        """The dedupe key of a verified call; must not raise (fall back to a body hash)."""
        raise NotImplementedError

    def parse(self, call: InboundCall) -> list[OrderUpdate | FollowUp]:
        """Read a verified call. Raises PayloadMalformed or EventIgnored."""
        raise NotImplementedError

    def parse_resource(
        self, follow_up: FollowUp, response: HttpResponse, received_at: datetime
    ) -> list[OrderUpdate]:
        """Read the fetched resource of a thin event.

        Raises PayloadMalformed, or TransientError when the answer only says to ask again later.
        """
        raise NotImplementedError

    def parse_gone(self, follow_up: FollowUp, received_at: datetime) -> list[OrderUpdate]:
        """What it means that the resource of a thin event is not there; [] = nothing."""
        return []

    def answer(self, call: InboundCall, *, duplicate: bool) -> Reply200:
        """What the vendor wants to hear for a stored call (default: 200, empty)."""
        return Reply200()

    def refuse(self, call: InboundCall, problem: str) -> Reply200:
        """What the vendor wants to hear for a verified call nobody can read (default: 200)."""
        return Reply200()

    def fingerprint(self, call: InboundCall) -> str:
        """Equal for two calls that say the same; differs when one event key is used twice."""
        return hashlib.sha256(call.body).hexdigest()

    def body_to_store(self, call: InboundCall) -> bytes:
        """The bytes to keep, enough for ``parse``; override to leave out what must not be kept."""
        return call.body

    def poll(self, since: datetime) -> HttpRequest | None:
        """The request that lists orders changed since ``since``; None = cannot be polled."""
        return None

    def parse_poll(self, response: HttpResponse, received_at: datetime) -> list[OrderUpdate]:
        """Read the answer of ``poll``."""
        return []

    def poll_next(self, request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
        """The request for the page after ``response`` to ``request``; None = that was the last."""
        return None

    def check_up(self, order_id: str, now: datetime) -> FollowUp | None:
        """The request for one order or delivery of ours that is late and silent.

        ``order_id`` is the account's own id of it; the answer goes to ``parse_resource``. None =
        this one cannot be asked about.
        """
        return None
