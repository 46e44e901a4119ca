"""Staff messages in a Google Chat space, by incoming webhook. Facts are in google_chat.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from uuid import NAMESPACE_URL, uuid5

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
from integrations.payloads import inner, text

_PATH = re.compile(r"/v1/spaces/[^/]+/messages")
#: characters; together they stay under the 32,000 bytes of a message in any script
_LONGEST_TEXT, _LONGEST_TITLE, _LONGEST_FACT = 4_000, 200, 300
_LONGEST_URL, _LONGEST_THREAD_KEY = 2_000, 200
_CREDENTIALS = re.compile(r"api.?key|\btoken\b", re.IGNORECASE)
#: characters of Chat's markup for links, mentions (<users/all>) and HTML in cards
_MARKUP = str.maketrans("", "", "<>")


class GoogleChat(Provider):
    """A text and a card in one space; the account is the address.

    All messages of one order share a thread. ``requestId`` is the same for every try of one
    delivery, so Chat answers a repetition with the message it already has.
    """

    key = "google_chat"
    channel = Channel.TEAM_CHAT
    title = "Google Chat"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "webhook_url",
            label="Webhook URL",
            secret=True,
            is_url=True,
            help="https://chat.googleapis.com/v1/spaces/...; the URL itself is the credential",
            example="https://chat.googleapis.com/v1/spaces/AAAAexample/messages?key=AIza0123456789&token=t0ken-0123456789_abc%3D",
        ),
    )
    capabilities = Capabilities(idempotency_key=True, rate_per_s=1.0, account_is_address=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        url = account["webhook_url"].strip()
        try:
            parts = urlsplit(url)
            has_host = bool(parts.hostname)
        except ValueError:
            raise ConfigurationError(self.key, "setting 'webhook_url' is not an address") from None
        query = parse_qs(parts.query)
        if parts.scheme != "https" or not has_host or not _PATH.fullmatch(parts.path):
            raise ConfigurationError(
                self.key, "setting 'webhook_url' is not https://.../v1/spaces/<space>/messages"
            )
        if not (query.get("key") and query.get("token")):
            raise ConfigurationError(
                self.key, "setting 'webhook_url' has no 'key' or no 'token': copy it whole"
            )
        # the query stays as it was copied: a token often ends in %3D
        own = f"{parts.path}?{parts.query}"
        host = self.base_url or f"https://{parts.netloc}"
        self._url = f"{host}{own}&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"

    def request(self, message: Message) -> HttpRequest:
        """POST to the webhook."""
        words = _plain(message.text, _LONGEST_TEXT)
        body: dict[str, Any] = {"text": words or _title(message)}
        if message.thread_key:
            body["thread"] = {"threadKey": _sendable(message.thread_key)[:_LONGEST_THREAD_KEY]}
        body["cardsV2"] = [{"cardId": f"card-{message.attempt_id}", "card": _card(message)}]
        return HttpRequest.post(
            f"{self._url}&requestId={self._request_id(message)}",
            json_body=body,
            untrusted_url=True,
        )

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Read the answer: Google's status word comes with an HTTP status that says the same."""
        answer = response.json_object()
        status = response.status
        if 200 <= status < 300:
            name = text(answer.get("name"), 400)
            if status != 200 or not name.startswith("spaces/"):
                raise OutcomeUnknown(self.key, response, detail="no message name in the answer")
            return Accepted(vendor_id=name)
        error = inner(answer, "error")
        word = text(error.get("status"), 40)
        code = word if word in _WORDS else ""
        if status == 409:
            # somebody with our id came before us: an earlier try of this delivery
            return Accepted(detail="already there")
        if status == 400:
            if _CREDENTIALS.search(str(error.get("message") or "")):
                raise self._dead("Google Chat refuses the key or token of this webhook", code)
            raise MessageRejected(self.key, response, vendor_code=code)
        if status == 429:
            raise RateLimited(
                self.key, response, retry_after_s=response.retry_after_s(), vendor_code=code
            )
        if status in (408, 500, 503):
            raise TransientError(self.key, response, vendor_code=code)
        if 300 <= status < 500 and status != 413:
            raise self._dead(f"Google Chat answered HTTP {status}", code)
        self.raise_for_status(response, vendor_code=code)
        raise MessageRejected(self.key, response, vendor_code=code)

    def _request_id(self, message: Message) -> str:
        # a webhook belongs to one space: the same delivery in two spaces has two ids anyway
        return str(uuid5(NAMESPACE_URL, f"order-up:{message.delivery_key or message.attempt_id}"))

    def _dead(self, detail: str, code: str) -> ConfigurationError:
        return ConfigurationError(self.key, detail, vendor_code=code, endpoint_only=True)


_WORDS = frozenset(
    {
        "INVALID_ARGUMENT",
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "INTERNAL",
        "UNAVAILABLE",
    }
)


def _card(message: Message) -> dict[str, Any]:
    widgets: list[dict[str, Any]] = list(_facts(message))
    buttons = [
        {"text": label, "onClick": {"openLink": {"url": link}}} for label, link in _links(message)
    ]
    if buttons:
        widgets.append({"buttonList": {"buttons": buttons}})
    # two equal messages with one reference are one event told twice
    reference = f"{message.event_kind} - {message.milestone} - {message.attempt_id}"
    widgets.append({"textParagraph": {"text": _plain(reference, _LONGEST_FACT)}})
    return {"header": {"title": _title(message)}, "sections": [{"widgets": widgets}]}


def _title(message: Message) -> str:
    words = message.subject.strip() or message.text.strip().partition("\n")[0]
    return _plain(words, _LONGEST_TITLE) or "Order Up"


def _facts(message: Message) -> Iterator[dict[str, Any]]:
    for label, name in (
        ("Order", "number"),
        ("State", "state_label"),
        ("Source", "source"),
        ("Expected", "eta_time"),
        ("Reason", "reason"),
    ):
        value = _plain(str(message.order.get(name) or ""), _LONGEST_FACT)
        if value:
            yield {"decoratedText": {"topLabel": label, "text": value}}


def _links(message: Message) -> Iterator[tuple[str, str]]:
    for label, name in (("Acknowledge", "acknowledge"), ("Open order", "order")):
        link = message.links.get(name, "")
        if link.startswith(("https://", "http://")) and len(link) <= _LONGEST_URL:
            yield label, link


def _plain(words: str, limit: int) -> str:
    """Without the characters that make links, mentions and HTML; cut to ``limit``."""
    words = _sendable(words).translate(_MARKUP).strip()
    return words if len(words) <= limit else words[: limit - 1] + "…"


def _sendable(words: str) -> str:
    """Without halves of surrogate pairs, which no encoder takes."""
    return words.encode("utf-8", "ignore").decode()
