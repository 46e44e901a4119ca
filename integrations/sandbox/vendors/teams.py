"""Teams' workflow webhooks: an Adaptive Card in, an empty 202 out.

The URL is the credential. Words staff write to an outgoing webhook come back signed when the
account has its token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage, SandboxReply
from integrations.sandbox.vendors.base import (
    Magic,
    Route,
    SandboxVendor,
    json_reply,
    needed,
    random_hex,
    raw_of,
)

_ATTEMPT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_ESCAPED = re.compile(r"\\([\\*_\[\]`~])")
_CARD = "application/vnd.microsoft.card.adaptive"
#: Teams refuses more, and says so only inside the flow
CARD_LIMIT = 28 * 1024
#: workflows something happened to -> status, error code and words
FATES: Mapping[str, tuple[int, str, str]] = {
    "turned-off": (400, "WorkflowTriggerIsNotEnabled", "The trigger 'manual' is not enabled."),
    "tenant-only": (401, "DirectApiAuthorizationRequired", "The request needs an OAuth token."),
    "other-tenant": (403, "MisMatchingOAuthClaims", "The claims do not match the policies."),
    "other-schema": (400, "TriggerInputSchemaMismatch", "The input did not match its schema."),
}


class Teams(SandboxVendor):
    """Team chat. The message wall shows it as cards of one channel."""

    key = "teams"
    title = "Microsoft Teams"
    channel = "team_chat"
    magic = tuple(
        Magic(f".../workflows/{flow}/...", f"{status} {code}")
        for flow, (status, code, _) in FATES.items()
    )

    def routes(self) -> Iterable[Route]:
        return (Route("POST", "/{path:.*/?workflows/[^/]+/triggers/.+}", self.create),)

    def account_name(self, settings: Mapping[str, str]) -> str:
        return _workflow(urlsplit(needed(settings, "webhook_url")).path)

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        parts = urlsplit(needed(settings, "webhook_url"))
        sig = parse_qs(parts.query).get("sig", [""])[0]
        # the workflow alone tells a wrong signature (401) from a deleted flow (404)
        return [f"{_workflow(parts.path)} {sig}", _workflow(parts.path)]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        if status == 429:
            headers = {"Retry-After": f"{retry_after_s:g}"}
            return _error(429, "TooManyRequests", "The rate limit is exceeded.", headers)
        code = "NoResponse" if status == 502 else "InternalServerError"
        return _error(status, code, "The server did not answer.")

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST a message to a workflow."""
        workflow, sig = _workflow(request.path), request.query.get("sig", "")
        account = self.state.find_account(self.key, f"{workflow} {sig}")
        if account is None:
            if self.state.find_account(self.key, workflow):
                words = "The request must carry a valid 'sig'."
                return _error(401, "DirectApiAuthorizationRequired", words)
            return _error(404, "WorkflowNotFound", f"The workflow '{workflow}' was not found.")
        if workflow in FATES:
            return _error(*FATES[workflow])
        body = await request.read()
        card = _card(body)
        if card is None:
            words = "The input body for trigger 'manual' did not match its schema definition."
            return _error(400, "TriggerInputSchemaMismatch", words)
        run = f"0858{random_hex(10).upper()}CU00"
        # what is too large fails later, inside the flow: nobody is told, nothing is shown
        if len(body) <= CARD_LIMIT:
            self.accept(lambda: self._message(account, run, card, request))
        return web.Response(status=202, headers={"x-ms-workflow-run-id": run})

    def _message(
        self, account: SandboxAccount, run: str, card: Mapping[str, Any], request: web.Request
    ) -> SandboxMessage:
        lines = list(_lines(card))
        found = _ATTEMPT.search(lines[-1]) if lines else None
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=run,
            to=account.settings.get("channel_name") or "Teams channel",
            text=str(card.get("fallbackText") or ""),
            subject=lines[0] if lines else "",
            attempt=found[0] if found else "",
            raw=_without_query(raw_of(request, lambda: card)),
            extra={
                "lines": lines[1:],
                "buttons": [
                    {"label": str(action.get("title", "")), "url": str(action.get("url", ""))}
                    for action in card.get("actions", [])
                ],
            },
        )

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        """Words somebody wrote to the outgoing webhook by mentioning it."""
        user, said = str(words.get("from") or "Sam"), str(words.get("text") or "")
        message_id = str(words.get("id") or int(datetime.now(UTC).timestamp() * 1000))
        activity = {
            "type": "message",
            "id": message_id,
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "serviceUrl": "https://smba.trafficmanager.net/amer/",
            "channelId": "msteams",
            "from": {"id": f"29:{user}", "name": user, "aadObjectId": f"aad-{user.lower()}"},
            "text": f"<at>Orders</at> {said}",
            "channelData": {"teamsChannelId": "19:kitchen", "teamsTeamId": "19:team"},
        }
        body = json.dumps(activity).encode()
        key = base64.b64decode(needed(account.settings, "outgoing_token"))
        digest = base64.b64encode(hmac.new(key, body, hashlib.sha256).digest()).decode()
        reply = SandboxReply(
            vendor=self.key, id=message_id, sender=user, to="19:kitchen", text=said
        )
        headers = {"Content-Type": "application/json", "Authorization": f"HMAC {digest}"}
        return reply, VendorCall(account.target(account.webhook_url), body, headers)


def _workflow(path: str) -> str:
    """The id in ``.../workflows/{id}/triggers/...``. Raises ValueError for another path."""
    parts = path.split("/")
    if "workflows" not in parts[:-1]:
        raise ValueError("'webhook_url' is not the URL of a workflow")
    return parts[parts.index("workflows") + 1]


def _card(body: bytes) -> dict[str, Any] | None:
    """The one card of a message; None where the flow's schema would refuse it."""
    try:
        message = json.loads(body)
        [attachment] = message["attachments"]
        card = attachment["content"]
        is_valid = (
            message["type"] == "message"
            and attachment["contentType"] == _CARD
            and attachment["contentUrl"] is None
            and card["type"] == "AdaptiveCard"
            and float(card["version"]) <= 1.5
            and all(_is_valid(element) for element in card["body"])
            and all(a["type"] == "Action.OpenUrl" and a["url"] for a in card.get("actions", []))
        )
    except (ValueError, KeyError, TypeError):
        return None
    return card if is_valid else None


def _is_valid(element: Mapping[str, Any]) -> bool:
    if element["type"] == "TextBlock":
        return isinstance(element["text"], str)
    facts = element["facts"] if element["type"] == "FactSet" else [{}]
    return all(isinstance(fact["title"] + fact["value"], str) for fact in facts)


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    for element in card["body"]:
        if element["type"] == "TextBlock":
            yield _ESCAPED.sub(r"\1", element["text"])
        for fact in element.get("facts", ()):
            yield f"{fact['title']}: {_ESCAPED.sub(chr(92) + '1', fact['value'])}"


def _without_query(raw: Any) -> Any:
    """The raw request without the signature in its query."""

    def shown() -> dict[str, Any]:
        request: dict[str, Any] = raw()
        return {**request, "path": request["path"].partition("?")[0] + "?…"}

    return shown


def _error(status: int, code: str, text: str, headers: Any = None) -> web.Response:
    answer = {"error": {"code": code, "message": text}}
    return json_reply(answer, status=status, headers=headers)
