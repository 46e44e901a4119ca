"""Staff messages in a Slack channel, by incoming webhook. Vendor facts are in slack.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from integrations.contracts import (
    Accepted,
    Capabilities,
    Channel,
    HttpRequest,
    HttpResponse,
    InboundCall,
    Message,
    Provider,
    Reply,
    Setting,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    PayloadMalformed,
    RateLimited,
    SignatureInvalid,
    TransientError,
)
from integrations.payloads import text as text_of
from integrations.providers.slack_codes import MEANINGS, THREAD_GONE, Meaning
from integrations.public_addresses import leads_inside
from integrations.signatures import hmac_hex, require_hmac
from integrations.team_chats import cut, facts, links, reference, sendable, title

#: seconds between Slack's timestamp and our clock
MAX_AGE_S = 300
_API = "https://slack.com"
ACKNOWLEDGE = "order_ack"
#: action ids of buttons that only open a page; Slack tells us of a press of those too
_OPENS = {"acknowledge": "order_ack_page", "order": "order_open"}

_HEADER_CHARS, _SECTION_CHARS, _FIELD_CHARS, _BUTTON_CHARS, _URL_CHARS = 150, 3000, 2000, 75, 3000

_SLACK_HOST = re.compile(r"(?:^|\.)slack(?:-gov)?\.com$")
_HOOK_PATH = re.compile(r"/services/[^/]+/[^/]+/[^/]+/?")
#: ids, not names: a thread belongs to an id
_CHANNEL = re.compile(r"[A-Z][A-Z0-9]{2,30}")
#: vendor id of a bot's message: the channel and the message its thread hangs on
_THREAD = re.compile(r"([A-Z0-9]+)/([0-9]+\.[0-9]+)")


class Slack(Provider):
    """Block Kit messages to one Slack channel; the account is the address.

    A webhook needs nothing else, but its messages have no id. A bot's have one: all messages of an
    order share a thread, and urgent ones show in the channel as well.

    Everything that came from a customer or a vendor is set in ``plain_text``, where Slack reads
    no markup: an item named ``<!channel>`` rings nobody.
    """

    key = "slack"
    channel = Channel.TEAM_CHAT
    title = "Slack"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "webhook_url",
            label="Incoming webhook URL",
            secret=True,
            required=False,
            is_url=True,
            help="https://hooks.slack.com/services/...; the URL itself is the credential",
            example="https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        ),
        Setting(
            "bot_token",
            label="Bot token",
            secret=True,
            required=False,
            help="xoxb-..., with chat:write; instead of the webhook: one thread per order",
        ),
        Setting(
            "channel_id",
            label="Channel ID",
            required=False,
            help="with a bot token: C..., from the channel's details; invite the bot",
        ),
        Setting(
            "signing_secret",
            label="Signing secret",
            secret=True,
            required=False,
            help="of the Slack app, for the Acknowledge button",
        ),
        Setting(
            "previous_signing_secret",
            label="Previous signing secret",
            secret=True,
            required=False,
            help="while you regenerate it: believed too, until you remove it",
        ),
        Setting(
            "acknowledge_buttons",
            label="Acknowledge button",
            required=False,
            default="no",
            choices=("no", "yes"),
            help="yes: a press in Slack counts; needs a Slack app whose Interactivity URL is ours. "
            "no: the button opens our page",
        ),
    )
    capabilities = Capabilities(replies=True, edit=True, rate_per_s=1.0, account_is_address=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        self._token = account.get("bot_token", "").strip()
        self._channel = account.get("channel_id", "").strip()
        if self._token:
            if not _CHANNEL.fullmatch(self._channel):
                raise ConfigurationError(self.key, "setting 'channel_id' is not an id like C0123")
            if not (self._token.isascii() and self._token.isprintable()):
                raise ConfigurationError(self.key, "setting 'bot_token' is not a token")
            self._url = f"{self.base_url or _API}/api/chat.postMessage"
            return
        try:
            parts = urlsplit(account.get("webhook_url", "").strip())
        except ValueError:
            parts = urlsplit("")
        if parts.scheme != "https" or not parts.hostname:
            raise ConfigurationError(self.key, "setting 'webhook_url' is not an https address")
        if leads_inside(parts.hostname):
            raise ConfigurationError(self.key, "setting 'webhook_url' is a private address")
        if _SLACK_HOST.search(parts.hostname) and not _HOOK_PATH.fullmatch(parts.path):
            raise ConfigurationError(
                self.key,
                "setting 'webhook_url' is not an incoming webhook: those begin with "
                "https://hooks.slack.com/services/, a workflow's address takes other messages",
            )
        #: a sandbox account keeps the path, so one sandbox can tell many webhooks apart
        self._url = f"{self.base_url}{parts.path}" if self.base_url else parts.geturl()

    @classmethod
    def rate_key(cls, settings: Mapping[str, str]) -> str:
        """The channel a bot writes to; which channel a webhook is of nobody tells us."""
        return settings.get("channel_id", "").strip() if settings.get("bot_token") else ""

    def request(self, message: Message) -> HttpRequest:
        """POST to the webhook, or as the bot into the thread of the order."""
        text = sendable(message.text)
        body = {
            # what notifications and screen readers say; no markup here either
            "text": _escape(cut(text or title(message), _SECTION_CHARS)),
            "blocks": list(self._blocks(message, text)),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        if not self._token:
            return HttpRequest.post(self._url, json_body=body, untrusted_url=True)
        thread = self._thread(message)
        if thread:
            # who follows no thread would not hear of it
            body |= {"thread_ts": thread, "reply_broadcast": message.urgent}
        return HttpRequest.post(
            self._url,
            json_body={"channel": self._channel, **body},
            headers={"Authorization": f"Bearer {self._token}"},
        )

    def _thread(self, message: Message) -> str:
        found = _THREAD.fullmatch(message.replaces_vendor_id)
        return found[2] if found and found[1] == self._channel else ""

    def instead(self, message: Message, refusal: MessageRejected) -> Message | None:
        """A thread whose first message was deleted takes no replies: the next one begins anew."""
        if refusal.vendor_code in THREAD_GONE and self._thread(message):
            return replace(message, replaces_vendor_id="")
        return None

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """A webhook answers a word of plain text, the API JSON; the word decides, then the status.

        All messages of a thread have the vendor id of its first one.
        """
        answer = response.json_object() if self._token else {}
        word = text_of(answer.get("error")) if self._token else response.text().strip()
        if response.status == 200 and not self._token and word == "ok":
            return Accepted()
        stamp = text_of(answer.get("ts"))
        if response.status == 200 and answer.get("ok") is True and stamp:
            return Accepted(vendor_id=f"{self._channel}/{self._thread(message) or stamp}")
        if response.status < 300 and answer.get("ok") is not False:
            raise OutcomeUnknown(self.key, response, detail="this is no acceptance")
        self._raise_for_word(response, word if word in MEANINGS else "")
        self.raise_for_status(response)
        # the API says no with 200, in a word we do not know
        raise MessageRejected(self.key, response)

    def _raise_for_word(self, response: HttpResponse, code: str) -> None:
        meaning, status = MEANINGS.get(code), response.status
        if meaning == Meaning.REFUSED:
            raise MessageRejected(self.key, response, vendor_code=code)
        if meaning == Meaning.UNKNOWN:
            raise OutcomeUnknown(self.key, response, vendor_code=code)
        if meaning == Meaning.AGAIN:
            raise TransientError(self.key, response, vendor_code=code)
        if meaning == Meaning.SLOWER:
            wait_s = response.retry_after_s()
            raise RateLimited(self.key, response, retry_after_s=wait_s, vendor_code=code)
        if meaning == Meaning.DEAD or (300 <= status < 500 and status not in (408, 429)):
            raise ConfigurationError(
                self.key,
                f"Slack refuses us: {code or f'HTTP {status}'}",
                vendor_code=code,
                endpoint_only=True,
            )

    def replies(self, call: InboundCall) -> list[Reply]:
        """Presses of our Acknowledge button; other interactions are none of our business.

        ``action["value"]`` is the attempt id of the message that carried the button.
        """
        self._verify(call)
        payload = _interaction(call)
        if payload.get("type") != "block_actions":
            return []
        user = str(_mapping(payload.get("user")).get("id") or "")
        channel = str(_mapping(payload.get("channel")).get("id") or "")
        actions = payload.get("actions")
        return [
            Reply(
                channel=self.channel,
                sender=user,
                text="",
                vendor_id=f"{user}:{action.get('action_ts')}",
                occurred_at=_moment(action.get("action_ts")),
                action={"type": "acknowledge", "value": str(action.get("value") or "")},
                recipient=channel,
            )
            for action in (actions if isinstance(actions, list) else [])
            if isinstance(action, dict) and action.get("action_id") == ACKNOWLEDGE
        ]

    def _blocks(self, message: Message, text: str) -> Iterator[dict[str, Any]]:
        head = title(message)
        yield {"type": "header", "text": _plain(head, _HEADER_CHARS)}
        if text and (text != head or len(text) > _HEADER_CHARS):
            yield {"type": "section", "text": _plain(text, _SECTION_CHARS)}
        if fields := [_plain(f"{label}\n{it}", _FIELD_CHARS) for label, it in facts(message)]:
            yield {"type": "section", "fields": fields}
        if buttons := list(self._buttons(message)):
            yield {"type": "actions", "elements": buttons}
        yield {"type": "context", "elements": [_plain(reference(message), _FIELD_CHARS)]}

    def _buttons(self, message: Message) -> Iterator[dict[str, Any]]:
        for name, label, link in links(message, longest=_URL_CHARS):
            button = {"type": "button", "text": _plain(label, _BUTTON_CHARS)}
            if name == "acknowledge" and self.account.get("acknowledge_buttons") == "yes":
                press = {"action_id": ACKNOWLEDGE, "value": message.attempt_id}
                yield {**button, "style": "primary", **press}
            else:
                yield {**button, "action_id": _OPENS[name], "url": link}

    def _verify(self, call: InboundCall) -> None:
        stamp = call.headers.get("x-slack-request-timestamp", "")
        if not (stamp.isascii() and stamp.isdecimal()):
            raise SignatureInvalid("header X-Slack-Request-Timestamp is missing or no number")
        age_s = call.received_at.timestamp() - int(stamp[:15])
        if abs(age_s) > MAX_AGE_S:
            raise SignatureInvalid(f"the signature is {round(age_s)} s old")
        require_hmac(
            header="X-Slack-Signature",
            given=call.headers.get("x-slack-signature", ""),
            secrets=[self.account.get(f"{age}signing_secret", "") for age in ("", "previous_")],
            message=b"v0:" + stamp.encode() + b":" + call.body,
            encode=_v0,
        )


def _v0(secret: str, signed: bytes) -> str:
    return "v0=" + hmac_hex(secret, signed)


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": cut(text, limit), "emoji": False}


def _escape(text: str) -> str:
    """Slack reads ``text`` as mrkdwn: these three characters make links and mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _interaction(call: InboundCall) -> Mapping[str, Any]:
    """The JSON in the form field ``payload``; {} for a slash command. Raises PayloadMalformed."""
    try:
        form = parse_qs(call.body.decode("utf-8", "replace"), max_num_fields=50)
        payload = json.loads(form.get("payload", ["{}"])[0])
    except (ValueError, RecursionError) as error:
        raise PayloadMalformed("payload: not JSON") from error
    return _mapping(payload)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _moment(value: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(str(value)), tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
