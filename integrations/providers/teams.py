"""Staff messages in a Microsoft Teams channel, by a Workflows webhook. Facts are in teams.md."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import html
import json
import re
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
    Reply200,
    Setting,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    SignatureInvalid,
    TransientError,
)
from integrations.payloads import inner, load_object, text
from integrations.signatures import is_same

#: Teams takes about 28 KB and the flow fails silently above it
_LONGEST_CARD = 20_000
_LONGEST_TITLE, _LONGEST_TEXT, _LONGEST_FACT, _LONGEST_URL = 200, 4_000, 500, 2_000
#: seconds, where Teams throttles without saying for how long
_WAIT_S = 60.0
#: hosts of the connectors Microsoft switched off in May 2026
_RETIRED = re.compile(r"(?:^|\.)(?:webhook\.office\.com|outlook\.office(?:365)?\.com)$")
_MARKDOWN = re.compile(r"([\\*_\[\]`~])")
_MENTION = re.compile(r"<at\b[^>]*>.*?</at>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_ATTEMPT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ACKNOWLEDGE = re.compile(r"(?:ack|acknowledge|seen)\b", re.IGNORECASE)
_CODES = frozenset(
    {
        "TriggerInputSchemaMismatch",
        "WorkflowTriggerIsNotEnabled",
        "DirectApiAuthorizationRequired",
        "MisMatchingOAuthClaims",
        "WorkflowNotFound",
        "NoResponse",
    }
)


class Teams(Provider):
    """Adaptive Cards in one channel; the account is the address.

    The workflow answers 202 when its run starts; what the run does later is invisible to us.
    """

    key = "teams"
    channel = Channel.TEAM_CHAT
    title = "Microsoft Teams"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "webhook_url",
            label="Workflow URL",
            secret=True,
            is_url=True,
            help="of 'Post to a channel when a webhook request is received', whole, with sig=",
            example="https://prod-01.westus.logic.azure.com:443/workflows/0123456789abcdef/triggers/manual/paths/invoke?api-version=1&sig=0123456789abcdef",
        ),
        Setting(
            "outgoing_token",
            label="Outgoing webhook security token",
            secret=True,
            required=False,
            help="optional: staff may write to us by mentioning the outgoing webhook",
        ),
    )
    capabilities = Capabilities(replies=True, rate_per_s=1.0, account_is_address=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        url = account["webhook_url"].strip()
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
        except ValueError:
            raise ConfigurationError(self.key, "setting 'webhook_url' is not an address") from None
        if _RETIRED.search(host):
            raise ConfigurationError(
                self.key,
                "setting 'webhook_url' is of a connector Microsoft has switched off; create a "
                "workflow 'Post to a channel when a webhook request is received' instead",
            )
        if parts.scheme != "https" or not host or not parse_qs(parts.query).get("sig"):
            raise ConfigurationError(
                self.key, "setting 'webhook_url' is not an https address with 'sig='"
            )
        #: as it was copied: decoding and encoding it again would break the signature in it
        self._url = f"{self.base_url}{parts.path}?{parts.query}" if self.base_url else url

    def request(self, message: Message) -> HttpRequest:
        """POST one card to the workflow."""
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "fallbackText": _cut(_sendable(message.text).strip() or "Order Up", _LONGEST_TITLE),
            "body": _body(message),
            "actions": list(_actions(message)),
        }
        attachment = {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": None,  # some flow templates want it there and empty
            "content": card,
        }
        return HttpRequest.post(
            self._url,
            json_body={"type": "message", "attachments": [attachment]},
            untrusted_url=True,
        )

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """202 (200 from a flow that answers itself) is accepted; else the error code decides."""
        status = response.status
        run = response.headers.get("x-ms-workflow-run-id", "")
        is_power_automate = any(name.startswith("x-ms-") for name in response.headers)
        if status == 202 or (status == 200 and is_power_automate):
            return Accepted(vendor_id=run)
        if 200 <= status < 300:
            raise OutcomeUnknown(self.key, response, detail="this is not a workflow's answer")
        found = text(inner(response.json_object(), "error").get("code"))
        code = found if found in _CODES else ""
        if code == "TriggerInputSchemaMismatch" or status == 413:
            raise MessageRejected(self.key, response, vendor_code=code)
        if code == "NoResponse":
            raise TransientError(self.key, response, vendor_code=code)
        if status == 429:
            wait_s = response.retry_after_s()
            raise RateLimited(
                self.key, response, retry_after_s=_WAIT_S if wait_s is None else wait_s
            )
        if code or (300 <= status < 500 and status not in (400, 408)):
            raise ConfigurationError(
                self.key,
                f"Teams refuses this workflow: {code or f'HTTP {status}'}",
                vendor_code=code,
                endpoint_only=True,
            )
        self.raise_for_status(response)
        raise MessageRejected(self.key, response)

    def replies(self, call: InboundCall) -> list[Reply]:
        """Words staff wrote to the outgoing webhook.

        "ack" with the reference at the end of a card acknowledges that card.
        """
        self._verify(call)
        activity = load_object(call.body)
        if activity.get("type") != "message" or not text(activity.get("id")):
            return []
        person = inner(activity, "from")
        sender = text(person.get("aadObjectId")) or text(person.get("id"))
        if not sender:
            return []
        words = _plain(str(activity.get("text") or ""))
        reference = _ATTEMPT.search(words) if _ACKNOWLEDGE.match(words) else None
        return [
            Reply(
                channel=self.channel,
                sender=sender,
                text="" if reference else words,
                vendor_id=text(activity.get("id")),
                occurred_at=_moment(activity.get("timestamp")),
                action={"type": "acknowledge", "value": reference[0].lower()} if reference else {},
                recipient=text(inner(activity, "channelData").get("teamsChannelId")),
            )
        ]

    def answer(self, call: InboundCall) -> Reply200:
        """Teams shows the answer in the channel, and an error where there is none."""
        said = {"type": "message", "text": "Noted."}
        return Reply200(body=json.dumps(said).encode(), content_type="application/json")

    def _verify(self, call: InboundCall) -> None:
        token = self.account.get("outgoing_token", "")
        if not token:
            raise SignatureInvalid("no outgoing webhook token is configured")
        scheme, _, given = call.headers.get("authorization", "").partition(" ")
        if scheme.upper() != "HMAC" or not given:
            raise SignatureInvalid("header Authorization: HMAC is missing")
        try:
            key = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError):
            raise SignatureInvalid("the outgoing webhook token is not base64") from None
        digest = base64.b64encode(hmac.new(key, call.body, hashlib.sha256).digest()).decode()
        if not is_same(given.strip(), digest):
            raise SignatureInvalid(f"Authorization: HMAC ({len(given)} characters) is wrong")


def _body(message: Message) -> list[dict[str, Any]]:
    words = _sendable(message.text).strip()
    title = _sendable(message.subject).strip() or words.partition("\n")[0] or "Order Up"
    reference = f"{message.event_kind} - {message.milestone} - {message.attempt_id}"
    head = _block(title, _LONGEST_TITLE, size="Medium", weight="Bolder")
    facts = {"type": "FactSet", "facts": list(_facts(message))}
    foot = _block(reference, _LONGEST_FACT, size="Small", isSubtle=True)
    rest = [*([facts] if facts["facts"] else []), foot]
    if words in ("", title):
        return [head, *rest]
    limit = _LONGEST_TEXT
    # escaping and letters of other scripts take more bytes than characters
    while len(json.dumps(_block(words, limit), ensure_ascii=False).encode()) > _LONGEST_CARD // 2:
        limit //= 2
    return [head, _block(words, limit), *rest]


def _facts(message: Message) -> Iterator[dict[str, str]]:
    for label, name in (
        ("Order", "number"),
        ("State", "state_label"),
        ("Source", "source"),
        ("Expected", "eta_time"),
        ("Reason", "reason"),
    ):
        value = _sendable(str(message.order.get(name) or "")).strip()
        if value:
            yield {"title": label, "value": _escape(_cut(value, _LONGEST_FACT))}


def _actions(message: Message) -> Iterator[dict[str, str]]:
    for label, name in (("Acknowledge", "acknowledge"), ("Open order", "order")):
        link = message.links.get(name, "")
        if link.startswith(("https://", "http://")) and len(link) <= _LONGEST_URL:
            yield {"type": "Action.OpenUrl", "title": label, "url": link}


def _block(words: str, limit: int, **look: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _escape(_cut(words, limit)), "wrap": True, **look}


def _escape(words: str) -> str:
    """Text blocks and facts read a subset of Markdown: links and emphasis become plain text."""
    return _MARKDOWN.sub(r"\\\1", words)


def _cut(words: str, limit: int) -> str:
    return words if len(words) <= limit else words[: limit - 1] + "…"


def _plain(words: str) -> str:
    """What a person typed: without the mention of the webhook and without HTML."""
    return html.unescape(_TAG.sub(" ", _MENTION.sub(" ", words))).replace("\xa0", " ").strip()


def _sendable(words: str) -> str:
    """Without halves of surrogate pairs, which no encoder takes."""
    return words.encode("utf-8", "ignore").decode()


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
