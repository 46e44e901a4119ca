"""Live updates of open pages through Pusher Channels. Vendor facts are in pusher.md."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

from integrations.contracts import (
    Accepted,
    Capabilities,
    Channel,
    HttpRequest,
    HttpResponse,
    InboundCall,
    Message,
    Provider,
    Receipt,
    Reply,
    Reply200,
    Setting,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    SignatureInvalid,
    TransientError,
)
from integrations.payloads import load_object
from integrations.signatures import hmac_hex, is_same, require_hmac

if TYPE_CHECKING:
    from integrations.http import Http

#: seconds between a webhook's own time and our clock
MAX_AGE_S = 300
#: characters of one value in an event; all of them together stay far below Pusher's 10 kB
_LONGEST_VALUE = 64
_CHANNEL = re.compile(r"[A-Za-z0-9_\-=@,.;]{1,164}")
_EVENT = re.compile(r"(?!pusher)[A-Za-z0-9_\-]{1,200}")
_SOCKET = re.compile(r"\d{1,20}\.\d{1,20}", re.ASCII)
#: knowing the order's unguessable id is what opens its page, and so its channel
_ORDER_CHANNEL = re.compile(r"private-order-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CLUSTER = re.compile(r"[a-z0-9-]{1,20}")
_DATA = ("state", "state_label", "eta_time", "eta_in", "est_ready_at", "est_delivery_at")


class Pusher(Provider):
    """One short event per change to the pages of one order; reaches only who is looking.

    The account is the address: the channel is made of the order's public id. ``request`` is pure
    and unsigned, :meth:`signed` adds the time it leaves at; Pusher takes 600 s of difference.
    """

    key = "pusher"
    channel = Channel.REALTIME
    title = "Pusher Channels"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("app_id", label="App ID", example="3"),
        Setting(
            "app_key", label="Key", help="public: pages carry it", example="278d425bdf160c739803"
        ),
        Setting("secret", label="Secret", secret=True, example="7ad3773142a6692b25b8"),
        Setting(
            "cluster", label="Cluster", required=False, default="mt1", help="mt1, us2, eu, ..."
        ),
        Setting("event_name", label="Event name", required=False, default="order-update"),
    )
    # a page asks by itself after a while: what is a minute old moves nobody
    capabilities = Capabilities(retry_s=(5.0, 30.0), account_is_address=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        cluster = account.get("cluster") or "mt1"
        if not _CLUSTER.fullmatch(cluster):
            raise ConfigurationError(self.key, "setting 'cluster' is not the name of one")
        super().__init__(account, base_url=base_url or f"https://api-{cluster}.pusher.com")
        self._event = account.get("event_name") or "order-update"
        if not _EVENT.fullmatch(self._event):
            raise ConfigurationError(
                self.key, "setting 'event_name' holds more than letters, digits, - and _"
            )

    def request(self, message: Message) -> HttpRequest:
        """POST the event, not yet signed. Raises MessageRejected for an unusable channel."""
        channel = message.to.strip() or f"private-order-{message.order.get('id') or 'test'}"
        if not _CHANNEL.fullmatch(channel):
            raise MessageRejected(self.key, detail="not a channel name")
        body = {"name": self._event, "channels": [channel], "data": _data(message)}
        return HttpRequest.post(
            f"{self.base_url}/apps/{self.account['app_id']}/events",
            json_body=body,
            headers={"Content-Type": "application/json"},
        )

    def signed(self, request: HttpRequest, at: datetime) -> HttpRequest:
        """``request`` with Pusher's five query parameters for the moment ``at``. Pure."""
        query = {
            "auth_key": self.account["app_key"],
            "auth_timestamp": str(int(at.timestamp())),
            "auth_version": "1.0",
            "body_md5": hashlib.md5(request.body, usedforsecurity=False).hexdigest(),
        }
        # Pusher signs the path it sees; a sandbox's own prefix is not part of it
        path = urlsplit(request.url).path
        path = path[path.index("/apps/") :]
        pairs = "&".join(f"{name}={value}" for name, value in sorted(query.items()))
        signature = hmac_hex(self.account["secret"], f"POST\n{path}\n{pairs}".encode())
        return replace(
            request, url=f"{request.url}?{urlencode({**query, 'auth_signature': signature})}"
        )

    async def send(self, message: Message, http: Http) -> Accepted:
        """Sign now and POST. An unanswered event may be repeated: pages drop a known id."""
        request = self.signed(self.request(message), datetime.now(UTC))
        try:
            response = await http.send(request, provider=self.key)
        except OutcomeUnknown as error:
            raise TransientError(self.key, detail="no complete answer") from error
        return self.outcome(message, response)

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """The status decides; there is no message id."""
        status = response.status
        if status in (200, 202):
            if not isinstance(response.json(), dict):
                raise OutcomeUnknown(self.key, response, detail="the answer is not JSON")
            return Accepted()
        if status in (502, 504):
            raise TransientError(self.key, response)
        if status == 401:
            raise ConfigurationError(
                self.key, "HTTP 401: wrong key or secret, or a clock off by ten minutes"
            )
        self.raise_for_status(response)
        raise OutcomeUnknown(self.key, response, detail=f"HTTP {status}")

    def handshake(self, call: InboundCall) -> Reply200 | None:
        """Let a page that knows an order's id listen to its channel; 403 for any other channel.

        pusher-js posts the form ``socket_id``, ``channel_name`` to its authEndpoint.
        """
        if not call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return None
        try:
            form = parse_qs(call.body.decode("ascii"), max_num_fields=10)
        except ValueError:
            form = {}
        socket, channel = form.get("socket_id", [""])[0], form.get("channel_name", [""])[0]
        if not _SOCKET.fullmatch(socket) or not _ORDER_CHANNEL.fullmatch(channel):
            return Reply200(status=403)
        body = json.dumps({"auth": self.authorization(socket, channel)}).encode()
        return Reply200(body=body, content_type="application/json")

    @property
    def socket_url(self) -> str:
        """Where pages of this app listen (protocol 7); the key in it is public."""
        cluster = self.account.get("cluster") or "mt1"
        host = f"wss://ws-{cluster}.pusher.com"
        if not self.base_url.endswith(".pusher.com"):  # the sandbox
            host = self.base_url.replace("http", "ws", 1)
        return f"{host}/app/{self.account['app_key']}?protocol=7&client=order-up&version=1"

    def authorization(self, socket_id: str, channel: str) -> str:
        """The ``auth`` value that lets one connection listen to one private channel."""
        signature = hmac_hex(self.account["secret"], f"{socket_id}:{channel}".encode())
        return f"{self.account['app_key']}:{signature}"

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """Verify a webhook; who is watching is no proof that anything was read."""
        self._verify(call)
        return []

    def replies(self, call: InboundCall) -> list[Reply]:
        """Verify a webhook; nobody answers on this channel."""
        self._verify(call)
        return []

    def _verify(self, call: InboundCall) -> None:
        if not is_same(call.headers.get("x-pusher-key", ""), self.account["app_key"]):
            raise SignatureInvalid("X-Pusher-Key is not the key of this account")
        require_hmac(
            header="X-Pusher-Signature",
            given=call.headers.get("x-pusher-signature", ""),
            secrets=[self.account["secret"]],
            message=call.body,
        )
        time_ms = load_object(call.body).get("time_ms")
        if not isinstance(time_ms, int):
            raise SignatureInvalid("time_ms is missing")
        # whole numbers: one with a thousand digits is no float
        age_ms = int(call.received_at.timestamp() * 1000) - time_ms
        if abs(age_ms) > MAX_AGE_S * 1000:
            raise SignatureInvalid("time_ms is more than five minutes from our clock")


def _data(message: Message) -> str:
    """The event's data, a JSON text: ids, state and counts, nothing about the guest.

    The words of the message stay here, where a template may have put a name into them.
    """
    order, event = message.order, message.event
    parts = order.get("parts")
    parts = parts if isinstance(parts, Mapping) else {}
    data: dict[str, Any] = {
        "event_id": str(event.get("id") or message.attempt_id),
        "order": order.get("number") or "",
        "kind": message.event_kind,
        "milestone": message.milestone,
        "state": order.get("state") or "",
        **{name: order[name] for name in _DATA if order.get(name)},
        "part": event.get("part") or "",
    }
    cut = {name: str(value)[:_LONGEST_VALUE] for name, value in data.items()}
    counts = {"parts_ready": parts.get("ready", 0), "parts_total": parts.get("total", 0)}
    return json.dumps({**cut, **counts}, separators=(",", ":"))
