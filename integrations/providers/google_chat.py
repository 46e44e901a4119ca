"""Staff messages in a Google Chat space, by incoming webhook. Facts are in google_chat.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

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
from integrations.crm_values import once_key
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from integrations.payloads import inner, text
from integrations.public_addresses import leads_inside
from integrations.team_chats import cut, facts, links, reference, sendable, title

_PATH = re.compile(r"/v1/spaces/[^/]+/messages")
#: characters of up to four bytes; together they stay under the 32,000 bytes of a message
_LONGEST_TEXT, _LONGEST_TITLE, _LONGEST_FACT = 4_000, 200, 300
_LONGEST_URL, _LONGEST_THREAD_KEY = 2_000, 200
#: "Unexpected token" is about JSON
_CREDENTIALS = re.compile(r"api.?key|(?<!unexpected )\btoken\b", re.IGNORECASE)
#: parameters of ours in the query; in a copied URL they would stand there twice
_OURS = ("messageReplyOption", "requestId", "threadKey", "messageId")
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
        if leads_inside(parts.hostname or ""):
            raise ConfigurationError(self.key, "setting 'webhook_url' is a private address")
        # the query stays as it was copied: a token often ends in %3D
        kept = [one for one in parts.query.split("&") if one.partition("=")[0] not in _OURS]
        own = f"{parts.path}?{'&'.join(kept)}"
        host = self.base_url or f"https://{parts.netloc}"
        self._url = f"{host}{own}&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"

    @classmethod
    def rate_key(cls, settings: Mapping[str, str]) -> str:
        """The space: all its webhooks share its quota."""
        found = _PATH.search(settings.get("webhook_url", ""))
        return found[0] if found else ""

    def request(self, message: Message) -> HttpRequest:
        """POST to the webhook."""
        words = _plain(message.text, _LONGEST_TEXT)
        body: dict[str, Any] = {"text": words or _title(message)}
        if message.thread_key:
            body["thread"] = {"threadKey": sendable(message.thread_key)[:_LONGEST_THREAD_KEY]}
        body["cardsV2"] = [{"cardId": f"card-{message.attempt_id}", "card": _card(message)}]
        return HttpRequest.post(
            f"{self._url}&requestId={once_key(message)}",
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
        if code == "ALREADY_EXISTS":
            # somebody with our id came before us: an earlier try of this delivery
            return Accepted(detail="already there")
        if status == 409:
            raise OutcomeUnknown(self.key, response, vendor_code=code)
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
            raise self._dead(f"Google Chat refuses this webhook: {code or f'HTTP {status}'}", code)
        self.raise_for_status(response, vendor_code=code)
        raise MessageRejected(self.key, response, vendor_code=code)

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
        "ABORTED",
        "INTERNAL",
        "UNAVAILABLE",
    }
)


def _card(message: Message) -> dict[str, Any]:
    widgets: list[dict[str, Any]] = [
        {"decoratedText": {"topLabel": label, "text": plain}}
        for label, value in facts(message)
        if (plain := _plain(value, _LONGEST_FACT))
    ]
    buttons = [
        {"text": label, "onClick": {"openLink": {"url": link}}}
        for _, label, link in links(message, longest=_LONGEST_URL)
    ]
    if buttons:
        widgets.append({"buttonList": {"buttons": buttons}})
    widgets.append({"textParagraph": {"text": _plain(reference(message), _LONGEST_FACT)}})
    return {"header": {"title": _title(message)}, "sections": [{"widgets": widgets}]}


def _title(message: Message) -> str:
    return _plain(title(message), _LONGEST_TITLE) or "Order Up"


def _plain(words: str, limit: int) -> str:
    """Without the characters that make links, mentions and HTML; cut to ``limit``."""
    return cut(sendable(words.translate(_MARKUP)), limit)
