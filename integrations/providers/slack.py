"""Staff messages in a Slack channel, by incoming webhook. Vendor facts are in slack.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
    SignatureInvalid,
    TransientError,
)
from integrations.public_addresses import leads_inside
from integrations.signatures import hmac_hex, require_hmac
from integrations.team_chats import cut, facts, links, reference, sendable, title

#: seconds between Slack's timestamp and our clock
MAX_AGE_S = 300
ACKNOWLEDGE = "order_ack"
#: action ids of buttons that only open a page; Slack tells us of a press of those too
_OPENS = {"acknowledge": "order_ack_page", "order": "order_open"}

_HEADER_CHARS, _SECTION_CHARS, _FIELD_CHARS, _BUTTON_CHARS, _URL_CHARS = 150, 3000, 2000, 75, 3000

_CONTENT = frozenset(
    {
        "invalid_payload",
        "invalid_blocks",
        "invalid_blocks_format",
        "no_text",
        "missing_text_or_fallback_or_attachments",
        "too_many_attachments",
    }
)
#: this one URL will never work again, or not before somebody changes the Slack side
_DEAD_ENDPOINT = frozenset(
    {
        "invalid_token",
        "user_not_found",
        "action_prohibited",
        "posting_to_general_channel_denied",
        "team_disabled",
        "no_service",
        "no_service_id",
        "no_active_hooks",
        "no_team",
        "channel_not_found",
        "channel_is_archived",
    }
)
_KNOWN = _CONTENT | _DEAD_ENDPOINT | {"rollup_error", "rate_limited"}


class Slack(Provider):
    """Block Kit messages to one Slack channel; the account is the address.

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
            is_url=True,
            help="https://hooks.slack.com/services/...; the URL itself is the credential",
            example="https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
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
    capabilities = Capabilities(replies=True, rate_per_s=1.0, account_is_address=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        try:
            parts = urlsplit(account["webhook_url"].strip())
        except ValueError:
            parts = urlsplit("")
        if parts.scheme != "https" or not parts.hostname:
            raise ConfigurationError(self.key, "setting 'webhook_url' is not an https address")
        if leads_inside(parts.hostname):
            raise ConfigurationError(self.key, "setting 'webhook_url' is a private address")
        #: a sandbox account keeps the path, so one sandbox can tell many webhooks apart
        self._url = f"{self.base_url}{parts.path}" if self.base_url else parts.geturl()

    def request(self, message: Message) -> HttpRequest:
        """POST to the webhook."""
        text = sendable(message.text)
        return HttpRequest.post(
            self._url,
            json_body={
                # what notifications and screen readers say; no markup here either
                "text": _escape(cut(text or title(message), _SECTION_CHARS)),
                "blocks": list(self._blocks(message, text)),
                "unfurl_links": False,
                "unfurl_media": False,
            },
            untrusted_url=True,
        )

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Slack answers a word of plain text: the word decides, then the status."""
        word = response.text().strip()
        code = word if word in _KNOWN else ""
        if response.status == 200:
            if word == "ok":
                return Accepted()
            raise OutcomeUnknown(self.key, response, detail="the answer is not 'ok'")
        if code in _CONTENT:
            raise MessageRejected(self.key, response, vendor_code=code)
        if code in _DEAD_ENDPOINT:
            raise self._dead(f"Slack refuses this webhook: {code}", code)
        if code == "rollup_error":
            raise TransientError(self.key, response, vendor_code=code)
        if response.status not in (408, 429) and 300 <= response.status < 500:
            raise self._dead(f"Slack answered HTTP {response.status}", code)
        self.raise_for_status(response, vendor_code=code)
        raise OutcomeUnknown(self.key, response, detail="the answer is not 'ok'")

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

    def _dead(self, detail: str, code: str) -> ConfigurationError:
        return ConfigurationError(self.key, detail, vendor_code=code, endpoint_only=True)


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
