"""Staff messages in a Microsoft Teams channel, by a Workflows webhook. Facts are in teams.md."""

from __future__ import annotations

import base64
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
from integrations.public_addresses import leads_inside
from integrations.signatures import require_hmac
from integrations.team_chats import cut, facts, links, reference, sendable, title

#: bytes of the whole message; Teams takes about 28 KB and the flow fails silently above it
_LONGEST_MESSAGE = 20_000
#: characters of up to four bytes: a message without its text has at most 14,000 bytes
_LONGEST_TITLE, _LONGEST_TEXT, _LONGEST_FACT, _LONGEST_URL = 200, 4_000, 250, 2_000
_TOKENS = ("outgoing_token", "previous_outgoing_token")
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
            help="of 'Post to a channel when a webhook request is received', whole, with sig=; "
            "Microsoft switches off addresses at logic.azure.com: copy the new one",
            example="https://prod-01.westus.logic.azure.com:443/workflows/0123456789abcdef/triggers/manual/paths/invoke?api-version=1&sig=0123456789abcdef",
        ),
        Setting(
            "outgoing_token",
            label="Outgoing webhook security token",
            secret=True,
            required=False,
            help="optional: staff may write to us by mentioning the outgoing webhook",
        ),
        Setting(
            "previous_outgoing_token",
            label="Previous security token",
            secret=True,
            required=False,
            help="while you replace the outgoing webhook: believed too, until you remove it",
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
        if leads_inside(host):
            raise ConfigurationError(self.key, "setting 'webhook_url' is a private address")
        for name in _TOKENS:
            if _key(account.get(name, "")) is None:
                raise ConfigurationError(
                    self.key, f"setting '{name}' is not the base64 token Teams showed once"
                )
        #: as it was copied: decoding and encoding it again would break the signature in it
        self._url = f"{self.base_url}{parts.path}?{parts.query}" if self.base_url else url

    def request(self, message: Message) -> HttpRequest:
        """POST one card to the workflow; a long text is cut until the message fits."""
        limit = _LONGEST_TEXT
        while len((made := self._request(message, limit)).body) > _LONGEST_MESSAGE:
            limit //= 2
        return made

    def _request(self, message: Message, limit: int) -> HttpRequest:
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "fallbackText": cut(sendable(message.text) or title(message), _LONGEST_TITLE),
            "body": list(_body(message, limit)),
            "actions": [
                {"type": "Action.OpenUrl", "title": label, "url": link}
                for _, label, link in links(message, longest=_LONGEST_URL)
            ],
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
        scheme, _, given = call.headers.get("authorization", "").partition(" ")
        if scheme.upper() != "HMAC":
            raise SignatureInvalid("header Authorization: HMAC is missing")
        require_hmac(
            header="Authorization",
            given=given,
            secrets=[self.account.get(name, "") for name in _TOKENS],
            message=call.body,
            encode=_digest,
        )


def _key(token: str) -> bytes | None:
    """The key in a security token; None where it is not base64."""
    try:
        return base64.b64decode(token.strip(), validate=True)
    except ValueError:
        return None


def _digest(token: str, body: bytes) -> str:
    return base64.b64encode(hmac.new(_key(token) or b"", body, hashlib.sha256).digest()).decode()


def _body(message: Message, limit: int) -> Iterator[dict[str, Any]]:
    words, head = sendable(message.text), title(message)
    yield _block(head, _LONGEST_TITLE, size="Medium", weight="Bolder")
    if words and (words != head or len(words) > _LONGEST_TITLE):
        yield _block(words, limit)
    known = [
        {"title": label, "value": _escape(cut(value, _LONGEST_FACT))}
        for label, value in facts(message)
    ]
    if known:
        yield {"type": "FactSet", "facts": known}
    yield _block(reference(message), _LONGEST_FACT, size="Small", isSubtle=True)


def _block(words: str, limit: int, **look: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _escape(cut(words, limit)), "wrap": True, **look}


def _escape(words: str) -> str:
    """Text blocks and facts read a subset of Markdown: links and emphasis become plain text."""
    return _MARKDOWN.sub(r"\\\1", words)


def _plain(words: str) -> str:
    """What a person typed: without the mention of the webhook and without HTML."""
    return html.unescape(_TAG.sub(" ", _MENTION.sub(" ", words))).replace("\xa0", " ").strip()


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
