"""The plain values that cross the border between the product and the vendors' adapters.

Nothing here knows the database, Django or a vendor. Outbound: ``Message`` goes in, ``HttpRequest``
comes out, ``HttpResponse`` goes in, ``Accepted`` (or an error of errors.py) comes out. Inbound:
``InboundCall`` goes in; ``Receipt``, ``Reply`` (providers) or ``OrderUpdate`` (sources) come out.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)

if TYPE_CHECKING:
    from integrations.http import Http


class Channel(StrEnum):
    """The kind of address a message goes to."""

    SMS = "sms"
    EMAIL = "email"
    WHATSAPP = "whatsapp"
    MESSENGER = "messenger"
    TELEGRAM = "telegram"
    PUSH = "push"
    WEB_PUSH = "web_push"
    REALTIME = "realtime"
    TEAM_CHAT = "team_chat"
    CRM = "crm"
    HELPDESK = "helpdesk"
    COMMERCE = "commerce"
    AUTOMATION = "automation"
    WEBHOOK = "webhook"


# --------------------------------------------------------------------------------------------
# HTTP, as plain values
# --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, complete: what ``show_request`` prints and what http.py sends, unchanged."""

    method: str
    # a chat webhook's URL is a credential, and a body is somebody's message: neither is ever shown
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    #: the URL was typed by a person: http.py refuses private addresses
    untrusted_url: bool = False

    @staticmethod
    def post(
        url: str,
        *,
        json_body: Any = None,
        form: Mapping[str, str] | list[tuple[str, str]] | None = None,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        untrusted_url: bool = False,
    ) -> HttpRequest:
        """A POST with a JSON or form body and, when given, HTTP Basic credentials."""
        merged = dict(headers or {})
        body = b""
        if json_body is not None:
            body = json.dumps(json_body, ensure_ascii=False, separators=(",", ":")).encode()
            merged.setdefault("Content-Type", "application/json; charset=utf-8")
        elif form is not None:
            body = urlencode(form).encode()
            merged.setdefault("Content-Type", "application/x-www-form-urlencoded")
        if auth is not None:
            merged["Authorization"] = basic_auth(*auth)
        return HttpRequest("POST", url, merged, body, untrusted_url)

    @staticmethod
    def get(
        url: str,
        *,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        untrusted_url: bool = False,
    ) -> HttpRequest:
        """A GET, with HTTP Basic credentials when given."""
        merged = dict(headers or {})
        if auth is not None:
            merged["Authorization"] = basic_auth(*auth)
        return HttpRequest("GET", url, merged, b"", untrusted_url)


def basic_auth(user: str, password: str) -> str:
    """The value of an Authorization header for HTTP Basic."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A vendor's answer. Header names are lower case; the body is cut at 1 MiB by http.py."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    duration_ms: int = 0

    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON, or None when it is not JSON (HTML, empty, truncated)."""
        try:
            return json.loads(self.body)
        except (ValueError, UnicodeDecodeError, RecursionError):
            return None

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; anything else is an empty one."""
        value = self.json()
        return value if isinstance(value, dict) else {}

    def retry_after_s(self, *, longest_s: float = 3600.0) -> float | None:
        """Seconds of a numeric Retry-After header, between 0 and ``longest_s``; None if absent."""
        raw = self.headers.get("retry-after", "")
        try:
            seconds = float(raw)
        except ValueError:
            return None
        if seconds != seconds or seconds < 0:
            return None
        return min(seconds, longest_s)


@dataclass(frozen=True, slots=True)
class InboundCall:
    """One HTTP call a vendor made to us, before anybody believed it.

    ``headers`` have lower-case names. ``url`` is the configured public URL of the endpoint with
    the query string as sent (several vendors sign it). ``received_at`` is aware, UTC.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply200:
    """What to answer a vendor when it wants more than an empty 200."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


# --------------------------------------------------------------------------------------------
# Declared settings of an account (the admin form, encryption and the docs come from these)
# --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """One value an account needs. Secrets are shown masked and never logged."""

    name: str
    label: str = ""
    secret: bool = False
    required: bool = True
    default: str = ""
    help: str = ""
    choices: tuple[str, ...] = ()
    #: the value is a URL a person typed: requests to it pass the SSRF guard
    is_url: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do; planning, dispatch and the docs read it."""

    receipts: bool = False
    replies: bool = False
    #: the vendor drops a second request with the same key
    idempotency_key: bool = False
    #: the vendor can be asked whether an attempt arrived (``Provider.look_up``)
    look_up: bool = False
    #: the vendor can change a message it already has
    edit: bool = False
    #: longest text in characters; 0 = no practical limit
    max_chars: int = 0
    #: requests per second one account may make; 0 = no limit known
    rate_per_s: float = 0.0
    #: the destination is part of the account (a chat webhook), not an address of a person
    account_is_address: bool = False
    #: vendor template name and variables are needed to start a conversation
    vendor_templates: bool = False


# --------------------------------------------------------------------------------------------
# Outbound
# --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """Everything one delivery attempt says. Lives in memory only, never on a broker.

    ``text`` is always present (it is the fallback of every channel). ``order`` and ``event`` are
    the same closed context the message templates see (notifications/context.py), for providers
    that send data instead of text (cards, CRM events, tickets, partner webhooks).
    """

    attempt_id: str
    channel: Channel
    to: str = field(repr=False)
    text: str = field(repr=False)
    event_kind: str = "status_changed"
    milestone: str = ""
    purpose: str = "order_updates"
    subject: str = field(default="", repr=False)
    html: str = field(default="", repr=False)
    #: seconds for which the message is still worth having; passed to vendors that can expire
    valid_for_s: int = 1800
    language: str = "en"
    #: names and values for vendor-side templates
    vendor_template: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    order: Mapping[str, Any] = field(default_factory=dict)
    event: Mapping[str, Any] = field(default_factory=dict)
    restaurant: Mapping[str, Any] = field(default_factory=dict)
    recipient: Mapping[str, Any] = field(default_factory=dict)
    #: links: order page, acknowledge, unsubscribe (one click), manage
    links: Mapping[str, str] = field(default_factory=dict)
    #: our public URL for receipts of this attempt, already carrying the attempt id
    callback_url: str = ""
    #: same value for all messages of one order to one recipient (threads, tags, collapse keys)
    thread_key: str = ""
    #: vendor id of an earlier message of this thread that may be edited in place
    replaces_vendor_id: str = ""
    #: the same for every try of one delivery: what a vendor that drops repetitions dedupes by
    delivery_key: str = ""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The vendor took the message. ``vendor_id`` is "" where the vendor gives none."""

    vendor_id: str = ""
    segments: int = 0
    detail: str = ""


class ReceiptKind(StrEnum):
    """What a vendor says later about an attempt, by rank."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    CLICKED = "clicked"
    FAILED = "failed"
    EXPIRED = "expired"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One statement of a vendor about one earlier message.

    At least one of ``attempt_id`` (what we put into the request and the vendor echoed) and
    ``vendor_id`` is set. ``error`` is the class of errors.py a failed receipt stands for.
    """

    kind: ReceiptKind
    vendor_id: str = ""
    attempt_id: str = ""
    vendor_time: datetime | None = None
    vendor_code: str = ""
    error: str = ""
    #: unique inside the account when the vendor gives one; "" = derived from the other fields
    event_id: str = ""
    recipient: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """Words (or a button) a person sent back on a channel."""

    channel: Channel
    sender: str
    text: str
    vendor_id: str
    occurred_at: datetime | None = None
    #: "stop", "start", "help" when the vendor says it handled the word itself
    vendor_handled: str = ""
    #: the vendor already sent its own confirmation
    vendor_confirmed: bool = False
    #: e.g. {"type": "acknowledge", "value": "..."} for buttons
    action: Mapping[str, str] = field(default_factory=dict)
    #: which of our numbers or pages it was sent to
    recipient: str = ""


class Provider:
    """One outbound vendor. Subclasses translate; sending is inherited.

    ``account`` holds the values of the declared ``settings``. ``base_url`` is the vendor's host,
    or the sandbox's when the account is a sandbox account. ``request`` and ``outcome`` are pure.
    """

    key: ClassVar[str]
    channel: ClassVar[Channel]
    title: ClassVar[str] = ""
    settings: ClassVar[tuple[Setting, ...]] = ()
    capabilities: ClassVar[Capabilities] = Capabilities()
    #: the vendor's production host, e.g. https://api.twilio.com
    live_base_url: ClassVar[str] = ""

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        self.account = account
        self.base_url = (base_url or self.live_base_url).rstrip("/")
        for setting in self.settings:
            if setting.required and not account.get(setting.name):
                raise ConfigurationError(self.key, f"setting '{setting.name}' is missing")

    def request(self, message: Message) -> HttpRequest:
        """The exact request for ``message``. Pure."""
        raise NotImplementedError

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Read the vendor's answer: ``Accepted`` or one of the errors of errors.py. Pure."""
        raise NotImplementedError

    async def send(self, message: Message, http: Http) -> Accepted:
        """request -> the network -> outcome. Raises the errors of errors.py, nothing else."""
        response = await http.send(self.request(message), provider=self.key)
        return self.outcome(message, response)

    def look_up(self, message: Message) -> HttpRequest | None:
        """The request that asks whether an attempt arrived, where the vendor can tell."""
        return None

    def looked_up(self, message: Message, response: HttpResponse) -> Accepted | None:
        """Read the answer to ``look_up``: the acceptance, or None = it never arrived.

        Raises OutcomeUnknown when the answer cannot tell. Pure.
        """
        raise OutcomeUnknown(self.key, response, detail="this vendor cannot be asked")

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """Verify ``call`` (raises SignatureInvalid), then read receipts from it. Pure."""
        return []

    def replies(self, call: InboundCall) -> list[Reply]:
        """Verify ``call`` (raises SignatureInvalid), then read replies from it. Pure."""
        return []

    def handshake(self, call: InboundCall) -> Reply200 | None:
        """Answer a vendor that tests the URL with a challenge; None = not a challenge."""
        return None

    def answer(self, call: InboundCall) -> Reply200:
        """What the vendor wants to hear for a verified, stored call (default: 200, empty)."""
        return Reply200()

    def raise_for_status(self, response: HttpResponse, *, vendor_code: str = "") -> None:
        """The classes every HTTP vendor shares; call it after the vendor's own codes."""
        status = response.status
        if 200 <= status < 300:
            return
        if status == 429:
            raise RateLimited(
                self.key,
                response,
                retry_after_s=response.retry_after_s(),
                vendor_code=vendor_code,
            )
        if status in (401, 403, 404) or 300 <= status < 400:
            raise ConfigurationError(
                self.key, f"the vendor answered HTTP {status}", vendor_code=vendor_code
            )
        if status in (502, 504):
            raise OutcomeUnknown(self.key, response, vendor_code=vendor_code)
        if status >= 500 or status == 408:
            raise TransientError(self.key, response, vendor_code=vendor_code)
        raise MessageRejected(self.key, response, vendor_code=vendor_code)


# --------------------------------------------------------------------------------------------
# Inbound orders
# --------------------------------------------------------------------------------------------


class State(StrEnum):
    """The nine order states."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    PREPARING = "preparing"
    READY = "ready"
    OUT_FOR_DELIVERY = "out_for_delivery"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: position of a state in a ranked stream
RANK: Mapping[str, int] = {
    State.RECEIVED: 10,
    State.ACCEPTED: 20,
    State.PREPARING: 30,
    State.READY: 40,
    State.OUT_FOR_DELIVERY: 50,
    State.PICKED_UP: 60,
    State.DELIVERED: 60,
    State.FAILED: 80,
    State.CANCELLED: 90,
}
HANDED_OVER = frozenset({State.PICKED_UP, State.DELIVERED})
TERMINAL = frozenset({State.PICKED_UP, State.DELIVERED, State.FAILED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Observation:
    """One append-only statement about one scope of one order.

    ``ordering_key`` is compared as text inside one (account, order, stream): integers are
    zero-padded to 20 digits by :func:`ordering_key`. ``data`` holds the fragment of the public
    shape (canonical order update) this statement carries: ``items``, ``times``, ``fulfillment``,
    ``reason``, ``courier``, ``flags`` for scope order; ``label``, ``quantity``, ``modifiers``,
    ``contents``, ``replaces``, ``kind``, ``est_ready_at`` for scope part; ``est_delivery_at``,
    ``courier``, ``part_ids`` for scope leg. Times in it are ISO 8601 text in UTC.
    """

    event_key: str
    track: str  # commercial | kitchen | courier
    scope: str  # order | part | leg
    ref: str = ""  # part or leg id, "" for the order
    ordering_class: str = "sequenced"  # sequenced | ranked
    ordering_key: str = ""
    kind: str = "transition"  # snapshot | transition | eta | contents | note
    native_state: str = ""
    state: str | None = None
    snapshot_parts: tuple[str, ...] | None = None
    occurred_at: datetime | None = None
    occurred_at_basis: str = "arrival"  # event | resource_modified | sent | arrival
    received_at: datetime | None = None
    source: str = ""
    account: str = ""  # filled by intake: primary key of the source account as text
    data: Mapping[str, Any] = field(default_factory=dict)


def ordering_key(value: int | str | datetime | None) -> str:
    """A sortable text for a vendor's ordering key; "" for None.

    Integers and digit strings are left-padded to 20 digits, datetimes become microseconds
    since 1970 UTC, other strings stay as they are.
    """
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = int(value.timestamp() * 1_000_000)
    if isinstance(value, int):
        return f"{value:020d}"
    return value.zfill(20) if value.isdecimal() and value.isascii() else value


@dataclass(frozen=True, slots=True)
class Customer:
    """Who ordered. Only ``contact_kind`` direct may ever be messaged."""

    name: str = ""
    phone: str = ""  # E.164 where the adapter could tell, else as the vendor wrote it
    email: str = ""
    contact_kind: str = "direct"  # direct | masked | relay | none
    locale: str = ""
    external_id: str = ""
    #: consent the vendor's checkout collected, per channel ("sms": True); absent = not said
    consents: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """What one source says about one order in one call: the unit of intake."""

    order_id: str
    observations: tuple[Observation, ...]
    display: str = ""
    #: (system, id) pairs that join this order with other sources' words for it
    aliases: tuple[tuple[str, str], ...] = ()
    customer: Customer | None = None
    location_id: str = ""
    timezone: str = ""
    #: courier news about an order we may not know yet: park instead of creating a stub
    courier_only: bool = False
    #: vendor states no table knows: stored, shown, mapped by a manager, re-run
    unknown_states: tuple[str, ...] = ()

    def with_account(self, account: str, source: str, received_at: datetime) -> OrderUpdate:
        """The same update, its observations stamped with who said it and when it arrived."""
        return replace(
            self,
            observations=tuple(
                replace(o, account=account, source=source, received_at=received_at)
                for o in self.observations
            ),
        )


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A thin event: GET this resource, then call ``parse_resource`` with the answer.

    Several events with one ``coalesce_key`` need one GET. ``context`` is handed back.
    """

    request: HttpRequest
    coalesce_key: str
    order_id: str
    context: Mapping[str, str] = field(default_factory=dict)


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
        """Read the fetched resource of a thin event. Raises PayloadMalformed."""
        raise NotImplementedError

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
