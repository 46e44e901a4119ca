"""Staff messages through any of the services the apprise library knows. Facts are in apprise.md."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlsplit

from integrations.contracts import (
    Accepted,
    Capabilities,
    Channel,
    HttpRequest,
    HttpResponse,
    Message,
    Provider,
    Setting,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from integrations.providers import apprise_call as calls
from integrations.public_addresses import is_public

if TYPE_CHECKING:
    from integrations.http import Http

_LONGEST_TITLE, _LONGEST_TEXT = 200, 3_000
_WAIT_S = 60.0
#: what requests and smtplib say where nothing had left
_NOT_CONNECTED = re.compile(
    r"NameResolutionError|Failed to resolve|NewConnectionError|ConnectTimeout|Connection refused"
    r"|CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|getaddrinfo failed",
)
_BROKEN_OFF = re.compile(
    r"Read timed out|ReadTimeout|aborted|RemoteDisconnected|reset by peer|Connection broken"
)
_NO_TOKEN = frozenset("".join(map(chr, range(32))) + "\x7f")
_UNSENDABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class Apprise(Provider):
    """One service per account; its URL, in apprise's own form, is the address.

    ``send`` is overridden because the library opens its own connections. ``request`` shows what
    it is given. Only services that send over the internet are allowed, and a fence refuses
    connections into private networks whatever a name resolves to.
    """

    key = "apprise"
    channel = Channel.TEAM_CHAT
    title = "Apprise"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "service_url",
            label="Service URL",
            secret=True,
            help="in apprise's form, one recipient, e.g. discord://id/token or ntfy://topic",
            example="discord://0123456789/example-token-of-a-webhook",
        ),
    )
    capabilities = Capabilities(rate_per_s=1.0, account_is_address=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        url = account["service_url"].strip()
        if _NO_TOKEN & set(url) or " " in url:
            raise ConfigurationError(self.key, "setting 'service_url' is not a URL")
        try:
            service = calls.service(url)
        except calls.ServiceRefused as error:
            raise ConfigurationError(self.key, f"setting 'service_url' {error}") from None
        if _is_private(service.host):
            raise ConfigurationError(
                self.key, "setting 'service_url' leads to a private or local address"
            )
        self._schema = str(service.schema)

    def request(self, message: Message) -> HttpRequest:
        """What the library is given, in the shape other providers use; it is not sent like this."""
        body = json.dumps(_given(message), ensure_ascii=False, separators=(",", ":"))
        url = f"{self.base_url}{self._sandbox_path()}" if self.base_url else f"{self._schema}://"
        return HttpRequest("NOTIFY", url, {"Content-Type": "application/json"}, body.encode())

    async def send(self, message: Message, http: Http) -> Accepted:
        """Let the library send; raises the errors of errors.py."""
        given = _given(message)
        response = await calls.notify(
            self._service(message),
            title=given["title"],
            body=given["body"],
            kind=given["type"],
            allowed_origins=http.allowed_origins,
            provider=self.key,
        )
        return self.outcome(message, response)

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """How the library's try ended: its yes, else the status it was given, else its words."""
        state, status = response.headers.get(calls.STATE, ""), response.status
        if state == "sent":
            return Accepted()
        if state == "refused":
            raise ConfigurationError(self.key, response.text()[:100], endpoint_only=True)
        if not state:
            raise OutcomeUnknown(self.key, detail="the library did not say how it ended")
        words = self._scrubbed(message, response)
        if status == 429:
            raise RateLimited(self.key, response, retry_after_s=_WAIT_S)
        if status in (401, 402, 403, 404, 405, 410) or 300 <= status < 400:
            raise ConfigurationError(self.key, f"the service refused: {words}", endpoint_only=True)
        if status in (502, 504):
            raise OutcomeUnknown(self.key, response)
        if status >= 500 or status in (408, 425):
            raise TransientError(self.key, response)
        if status >= 400:
            raise MessageRejected(self.key, response, detail=words)
        said = response.text()
        if _BROKEN_OFF.search(said) and not _NOT_CONNECTED.search(said):
            raise OutcomeUnknown(self.key, detail="no complete answer")
        raise TransientError(self.key, detail=words or "the service did not take it")

    def _scrubbed(self, message: Message, response: HttpResponse) -> str:
        private = (message.text, message.subject)
        return calls.scrubbed(response.text(), self.account["service_url"].strip(), private)

    def _service(self, message: Message) -> Any:
        """The account's own service, or the sandbox's stand-in for all of them."""
        if not self.base_url:
            return calls.service(self.account["service_url"].strip())
        parts = urlsplit(self.base_url)
        schema = "jsons" if parts.scheme == "https" else "json"
        url = f"{schema}://{parts.netloc}{parts.path}{self._sandbox_path()}"
        order = str(message.order.get("number") or "")
        return calls.service(url, {"attempt": message.attempt_id, "order": order})

    def _sandbox_path(self) -> str:
        """Tells accounts apart without giving their URL away."""
        digest = hashlib.sha256(self.account["service_url"].strip().encode()).hexdigest()[:24]
        return f"/{quote(self._schema, safe='')}/{digest}"


def _given(message: Message) -> dict[str, str]:
    words = _sendable(message.text).strip()
    title = _sendable(message.subject).strip() or words.partition("\n")[0] or "Order Up"
    lines = [_cut(words, _LONGEST_TEXT)] if words != title else []
    for label, name in (("Acknowledge", "acknowledge"), ("Order", "order")):
        link = message.links.get(name, "")
        if link and link not in words:
            lines.append(f"{label}: {link}")
    return {
        "title": _cut(title, _LONGEST_TITLE),
        "body": "\n".join(lines) or title,
        "type": _kind(message),
    }


def _kind(message: Message) -> str:
    """What the library colours a message by."""
    head = message.milestone.partition(":")[0]
    if message.event_kind == "alarm" or head in ("failed", "conflict", "courier_failed"):
        return "failure"
    if message.event_kind == "order_delayed" or head in ("cancelled", "recalled", "after_sale"):
        return "warning"
    return "success" if head in ("ready", "delivered", "picked_up") else "info"


def _is_private(host: object) -> bool:
    """An address written out; names are judged when they are connected to."""
    text = str(host or "").strip("[]").lower()
    try:
        return not is_public(text)
    except ValueError:
        return text == "localhost" or text.endswith(".localhost")


def _sendable(words: str) -> str:
    return _UNSENDABLE.sub("", words.replace("\r\n", "\n"))


def _cut(words: str, limit: int) -> str:
    return words if len(words) <= limit else words[: limit - 1] + "…"
