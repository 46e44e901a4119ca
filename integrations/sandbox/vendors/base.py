"""What every stand-in has in common: the interface one vendor file fills in.

A vendor file declares its routes and says how its own errors, ids and signatures look. The
server wraps each route with the latency and the fault plan, so a vendor file never thinks of
them except to say what its refusals look like (``refusal``).
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web

from integrations.sandbox.callbacks import Build, CallAnswer, Callbacks, VendorCall
from integrations.sandbox.state import (
    SandboxAccount,
    SandboxMessage,
    SandboxReply,
    SandboxState,
    iso,
    public_headers,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """One path of the vendor's API, below ``/{vendor key}``."""

    method: str
    path: str
    handler: Handler


class Magic(NamedTuple):
    """A recipient that provokes an outcome; listed on the message wall."""

    recipient: str
    outcome: str


class Trial(NamedTuple):
    """A test order somebody asked for."""

    #: what people call it
    number: str
    #: hexadecimal characters no other test order has
    uid: str
    #: Unix seconds
    at: float
    #: what the product calls the kitchen, any of them
    places: tuple[str, ...] = ()

    @property
    def location_id(self) -> str:
        """What the vendor calls the kitchen; "" = whatever it calls its own."""
        return next(iter(self.places), "")

    @property
    def id(self) -> str:
        """An id in letters, for vendors that have such."""
        return f"TRY-{self.uid}"

    @property
    def whole_number(self) -> int:
        """An id in ten digits, for vendors that count."""
        return 10**9 + int(self.uid, 16) % (9 * 10**9)

    def time(self, minutes: float = 0) -> str:
        """ISO 8601 in UTC, so many minutes after the order was placed."""
        return iso(self.at + minutes * 60)


#: who places test orders: a number and a mailbox reserved for examples
TRIAL_NAME = ("Robin", "Example")
TRIAL_PHONE = "+12025550199"
TRIAL_MAIL = "robin@example.com"
TRIAL_ITEMS = ("Harvest Bowl", "Miso Soup")
#: minutes from placed to promised
TRIAL_MINUTES = 20


class ReceiptPlan(NamedTuple):
    """One receipt to post ``after_ms`` the message was accepted."""

    kind: str
    after_ms: float
    build: Build


class SandboxVendor:
    """One vendor's stand-in. Instances share the sandbox's state and its outgoing side."""

    key: ClassVar[str]
    title: ClassVar[str]
    #: "sms", "email", ... for message vendors; "" for order sources
    channel: ClassVar[str] = ""
    magic: ClassVar[Sequence[Magic]] = ()

    def __init__(self, state: SandboxState, callbacks: Callbacks) -> None:
        self.state = state
        self.callbacks = callbacks

    # --- what a vendor file fills in ----------------------------------------------------------

    def routes(self) -> Iterable[Route]:
        """The paths of the vendor's API that the product uses."""
        return ()

    def control_routes(self) -> Iterable[Route]:
        """Extra paths below ``/_sandbox/{vendor key}``: planting orders and the like."""
        return ()

    def account_name(self, settings: Mapping[str, str]) -> str:
        """What the vendor calls the account."""
        raise NotImplementedError

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        """Every value by which a request can show that it belongs to this account."""
        raise NotImplementedError

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        """The vendor's own answer for 429, 500, 502 and 503."""
        return web.json_response({"message": f"HTTP {status}"}, status=status)

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        """The signed call for words somebody sent back. Raises ValueError if it cannot be."""
        raise ValueError(f"{self.title} has no replies")

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """The signed webhook call of an order source. Raises ValueError if it cannot be."""
        raise ValueError(f"{self.title} sends no order events")

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """Plant a small test order; what announces it, in the words ``event`` reads.

        Raises ValueError where this vendor cannot.
        """
        raise ValueError(f"{self.title} has no test order")

    # --- what it gets ---------------------------------------------------------------------------

    def plant(self, kind: str, key: object, value: Mapping[str, Any]) -> None:
        """Keep what the product may ask for."""
        self.state.resources[(self.key, kind, str(key))] = dict(value)

    def register(self, account: SandboxAccount) -> None:
        """Know ``account`` from now on. Raises ValueError naming a missing setting."""
        self.state.add_account(
            account,
            name=self.account_name(account.settings),
            credentials=self.credentials(account.settings),
        )

    def accept(self, message: Callable[[], SandboxMessage]) -> SandboxMessage | None:
        """Count an accepted message and keep it unless recording is off (then: None)."""
        accepted = self.state.accepted
        accepted[self.key] = accepted.get(self.key, 0) + 1
        if not self.state.settings.record:
            return None
        kept = message()
        self.state.add_message(kept)
        return kept

    def post_receipts(self, message_id: str, plans: Sequence[ReceiptPlan]) -> None:
        """Post receipts later, bent by the fault plan where it says so."""
        if not self.state.settings.receipts:
            return
        fault = self.state.faults.for_receipts(self.key) if len(self.state.faults) else None
        kind = fault.kind if fault else ""
        if kind == "lost_receipts":
            return
        if kind == "out_of_order_receipts":
            times = [plan.after_ms for plan in plans]
            plans = [
                plan._replace(after_ms=at) for plan, at in zip(reversed(plans), times, strict=True)
            ]
        for plan in plans:
            for _ in range(2 if kind == "duplicate_receipts" else 1):
                self._post_receipt(message_id, plan)

    def _post_receipt(self, message_id: str, plan: ReceiptPlan) -> None:
        def done(answer: CallAnswer) -> None:
            message = self.state.message(message_id)
            if message is not None:
                self.state.note_receipt(message, plan.kind, answer.status)

        self.callbacks.later(plan.after_ms / 1000, plan.build, done)


def basic(user: str, password: str) -> str:
    """The Authorization header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def needed(settings: Mapping[str, str], name: str) -> str:
    """The setting ``name``. Raises ValueError when it is missing or empty."""
    value = settings.get(name, "")
    if not value:
        raise ValueError(f"setting '{name}' is missing")
    return value


def json_reply(value: Any, *, status: int = 200, headers: Any = None) -> web.Response:
    """A compact JSON answer."""
    return web.Response(
        body=json.dumps(value, separators=(",", ":")).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def form_of(body: bytes) -> dict[str, str]:
    """A urlencoded body by name; of a repeated name the last value."""
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def raw_of(request: web.Request, body: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    """The request as received, for people: headers without credentials, the parsed body.

    Holds the headers and path only, never the request, which would keep its connection alive.
    """
    method, path, headers = request.method, request.path_qs, request.headers
    return lambda: {
        "method": method,
        "path": path,
        "headers": public_headers(headers),
        "body": body(),
    }


def random_hex(octets: int = 16) -> str:
    """Random lower-case hex, twice ``octets`` long."""
    return os.urandom(octets).hex()


class _HttpDate:
    """RFC 2822 dates, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._text = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(second))
        return self._text


rfc2822_now = _HttpDate()
