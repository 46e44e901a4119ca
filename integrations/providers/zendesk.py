"""One Zendesk ticket per order, and answers on tickets. Vendor facts are in zendesk.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from integrations import tickets
from integrations.access_tokens import AccessToken
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
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.payloads import inner, objects, text
from integrations.providers import zendesk_ticket
from integrations.providers.zendesk_codes import blames_requester, code_of, is_closed
from integrations.providers.zendesk_webhook import read_reply, verified

if TYPE_CHECKING:
    from integrations.http import Http

_SCOPE = "tickets:read tickets:write"
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NEWEST = 20
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


class _CannotAdd(MessageRejected):
    """The ticket is gone, or closed for good: then a new one may follow it."""

    def __init__(self, provider: str, response: HttpResponse, *, follows: str, code: str) -> None:
        super().__init__(provider, response, vendor_code=code, detail="the ticket cannot change")
        self.follows = follows


class Zendesk(Provider):
    """Tickets: the first message of an order opens one, later ones are comments on it.

    ``send`` is overridden because a ticket that is deleted or closed takes no comment: then the
    very message opens a new one at once. The refused comment had no effect.
    """

    key = "zendesk"
    channel = Channel.HELPDESK
    title = "Zendesk"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "subdomain",
            label="Subdomain",
            help="lucky-bowl of lucky-bowl.zendesk.com",
            example="lucky-bowl",
        ),
        Setting(
            "client_id",
            label="OAuth client: unique identifier",
            help="Admin Center > Apps and integrations > OAuth clients; kind: confidential",
            example="order_up",
        ),
        Setting(
            "client_secret",
            label="OAuth client: secret",
            secret=True,
            example="0123456789abcdef0123456789abcdef",
        ),
        Setting(
            "signing_secret",
            label="Webhook signing secret",
            secret=True,
            required=False,
            help="of the saved webhook; without it guests' comments are refused",
        ),
        Setting(
            "previous_signing_secret",
            label="Previous webhook signing secret",
            secret=True,
            required=False,
            help="after a reset: counts too, until you remove it",
        ),
        Setting("group_id", label="Group ID", required=False, help="gets new tickets"),
        Setting(
            "status_field_id",
            label="Status field ID",
            required=False,
            help="a ticket field of type text that shall hold the order's state",
        ),
    )
    #: a plan's smallest budget is 200 a minute, 100 of them updates
    capabilities = Capabilities(replies=True, look_up=True, edit=True, rate_per_s=1.5)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        name = account.get("subdomain", "").strip().lower().removesuffix(".zendesk.com")
        super().__init__(account, base_url=base_url or f"https://{name}.zendesk.com")
        if not _SUBDOMAIN.fullmatch(name):
            raise ConfigurationError(self.key, "setting 'subdomain' is not the name of one")
        self._group = self._number("group_id")
        self._field = self._number("status_field_id")
        self._token = AccessToken(self._ask, provider=self.key)

    @classmethod
    def address_channels(cls, settings: Mapping[str, str]) -> tuple[Channel, ...]:
        """Requesters are known by their mailbox."""
        return (Channel.EMAIL,)

    def request(self, message: Message) -> HttpRequest:
        """PUT a comment on the ticket, POST a ticket where there is none; without the token.

        Raises MessageRejected or RecipientUnreachable for what Zendesk would refuse.
        """
        if not tickets.words(message):
            raise MessageRejected(self.key, detail="no words")
        ticket = tickets.ticket_of(message.replaces_vendor_id)
        if not ticket:
            return self._open(message)
        changes = zendesk_ticket.added(message, status_field=self._field)
        return _json("PUT", f"{self._tickets}/{ticket}", {"ticket": changes})

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """The vendor's error and its details decide, then the status."""
        answer = response.json_object()
        if 200 <= response.status < 300:
            ticket = tickets.ticket_of(text(inner(answer, "ticket").get("id")))
            if not ticket:
                raise OutcomeUnknown(self.key, response, detail="no ticket in the answer")
            audit = text(inner(answer, "audit").get("id"))
            return Accepted(vendor_id=ticket, detail=f"audit {audit}" if audit else "")
        code = code_of(answer)
        ticket = tickets.ticket_of(message.replaces_vendor_id)
        if response.status in (400, 422):
            self._raise_for_content(answer, code, ticket, response)
        if response.status == 404 and ticket:
            raise _CannotAdd(self.key, response, follows="", code=code)
        if response.status == 409:  # somebody else changed the ticket this very moment
            raise TransientError(self.key, response, vendor_code=code)
        if response.status == 503 and (wait_s := response.retry_after_s()) is not None:
            raise RateLimited(self.key, response, retry_after_s=wait_s, vendor_code=code)
        self.raise_for_status(response, vendor_code=code)
        raise OutcomeUnknown(self.key, response)

    def _raise_for_content(
        self, answer: Mapping[str, Any], code: str, ticket: str, response: HttpResponse
    ) -> None:
        if code == "IdempotentRequestError":
            # an earlier try was taken, with the words of its minute: look_up finds the ticket
            raise OutcomeUnknown(
                self.key, response, vendor_code=code, detail="an earlier try was taken"
            )
        if ticket and is_closed(answer):
            raise _CannotAdd(self.key, response, follows=ticket, code=code)
        if blames_requester(answer):
            raise RecipientUnreachable(self.key, response, vendor_code=code)
        raise MessageRejected(self.key, response, vendor_code=code)

    async def send(self, message: Message, http: Http) -> Accepted:
        """As inherited; where the ticket takes no more comments, once more as a new ticket."""
        try:
            return await super().send(message, http)
        except _CannotAdd as refused:
            anew = replace(message, replaces_vendor_id="")
            request = self._open(anew, follows=refused.follows)
            return self.outcome(anew, await self.exchange(request, http))

    async def exchange(self, request: HttpRequest, http: Http) -> HttpResponse:
        """With the account's access token."""
        return await self._token.exchange(request, http)

    def look_up(self, message: Message) -> HttpRequest:
        """The newest comments of the ticket, or the tickets of the order."""
        ticket = tickets.ticket_of(message.replaces_vendor_id)
        name = quote(zendesk_ticket.external_id(message), safe="")
        path = f"/{ticket}/comments?sort_order=desc" if ticket else f"?external_id={name}"
        return HttpRequest.get(f"{self._tickets}{path}", headers={"Accept": "application/json"})

    def looked_up(self, message: Message, response: HttpResponse) -> Accepted | None:
        """A ticket is found by our tag, a comment by its words among the newest ones."""
        answer, ticket = response.json_object(), tickets.ticket_of(message.replaces_vendor_id)
        listed = answer.get("comments" if ticket else "tickets")
        if response.status != 200 or not isinstance(listed, list):
            raise OutcomeUnknown(self.key, response, detail="the list is unreadable")
        for found in objects(listed)[:_NEWEST]:
            if ticket and zendesk_ticket.is_said_by(found, message):
                return Accepted(vendor_id=ticket, detail=f"comment {text(found.get('id'))}")
            number = tickets.ticket_of(text(found.get("id")))
            if not ticket and number and zendesk_ticket.is_opened_by(found, message):
                return Accepted(vendor_id=number)
        return None

    def replies(self, call: InboundCall) -> list[Reply]:
        """The requester's words on a ticket; other people's and our own are none."""
        secrets = [self.account.get(f"{age}signing_secret", "") for age in ("", "previous_")]
        reply = read_reply(call, verified(call, secrets))
        return [reply] if reply is not None else []

    @property
    def _tickets(self) -> str:
        return f"{self.base_url}/api/v2/tickets"

    def _open(self, message: Message, *, follows: str = "") -> HttpRequest:
        if not tickets.mailbox(message.to):
            raise RecipientUnreachable(self.key, detail="not a mailbox")
        ticket = zendesk_ticket.opened(
            message, group=self._group, status_field=self._field, follows=follows
        )
        # an update has no such key: Zendesk reads it on creation only
        key = {"Idempotency-Key": tickets.reference(message)}
        return _json("POST", self._tickets, {"ticket": ticket}, key)

    def _ask(self, at: datetime) -> HttpRequest:
        credentials = {
            "grant_type": "client_credentials",
            "client_id": self.account["client_id"].strip(),
            "client_secret": self.account["client_secret"].strip(),
            "scope": _SCOPE,
        }
        return _json("POST", f"{self.base_url}/oauth/tokens", credentials)

    def _number(self, name: str) -> int:
        value = self.account.get(name, "").strip()
        if value and not tickets.ticket_of(value):
            raise ConfigurationError(self.key, f"setting '{name}' is not a number")
        return int(value or 0)


def _json(
    method: str, url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> HttpRequest:
    said = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return HttpRequest(method, url, {**_JSON, **(headers or {})}, said)
