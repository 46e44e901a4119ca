"""One Freshdesk ticket per order, replies and notes on it. Vendor facts are in freshdesk.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from integrations import tickets
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
from integrations.payloads import objects, text
from integrations.providers import freshdesk_ticket
from integrations.providers.freshdesk_codes import code_of, error_of
from integrations.providers.freshdesk_webhook import HEADER, USER, read_reply, verify

if TYPE_CHECKING:
    from integrations.http import Http

_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_FIELD = re.compile(r"cf_[a-z0-9_]{1,100}")


class _Gone(MessageRejected):
    """The ticket does not exist any more."""


class Freshdesk(Provider):
    """Tickets: the first message of an order opens one by mail, later ones reply on it.

    ``send`` is overridden because a deleted ticket takes no reply: then the very message opens a
    new one at once. The refused reply had no effect.
    """

    key = "freshdesk"
    channel = Channel.HELPDESK
    title = "Freshdesk"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "domain",
            label="Domain",
            help="lucky-bowl of lucky-bowl.freshdesk.com, never a domain of your own",
            example="lucky-bowl",
        ),
        Setting(
            "api_key",
            label="API key",
            secret=True,
            help="Profile settings of an agent whom replies may come from",
            example="ExampleKey0123456789",
        ),
        Setting(
            "email_config_id",
            label="Support mailbox ID",
            help="first messages leave from it: id in GET /api/v2/email_configs",
            example="80000012345",
        ),
        Setting(
            "webhook_secret",
            label="Webhook secret",
            secret=True,
            required=False,
            help=f"long and random; header {HEADER} of the webhook action, or the password of "
            f"its authentication (user {USER}). Without it guests' words are refused",
        ),
        Setting(
            "previous_webhook_secret",
            label="Previous webhook secret",
            secret=True,
            required=False,
            help="while you change it: counts too, until you remove it",
        ),
        Setting("group_id", label="Group ID", required=False, help="gets new tickets"),
        Setting(
            "ticket_type", label="Ticket type", required=False, help="as in your ticket fields"
        ),
        Setting("number_field", label="Order number field", required=False, help="cf_order_number"),
        Setting("status_field", label="Order state field", required=False, help="cf_order_status"),
    )
    #: the smallest plan lets 80 tickets be made and 80 be changed a minute
    capabilities = Capabilities(replies=True, look_up=True, edit=True, rate_per_s=1.3)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        name = account.get("domain", "").strip().lower().removesuffix(".freshdesk.com")
        super().__init__(account, base_url=base_url or f"https://{name}.freshdesk.com")
        if not _DOMAIN.fullmatch(name):
            raise ConfigurationError(self.key, "setting 'domain' is not the name of one")
        self._mailbox, self._group = self._number("email_config_id"), self._number("group_id")
        for setting in ("number_field", "status_field"):
            if account.get(setting) and not _FIELD.fullmatch(account[setting].strip()):
                raise ConfigurationError(self.key, f"setting '{setting}' does not begin with cf_")
        # the password is any text: the key is the user
        self._auth = (account["api_key"].strip(), "X")

    @classmethod
    def address_channels(cls, settings: Mapping[str, str]) -> tuple[Channel, ...]:
        """Requesters are known by their mailbox."""
        return (Channel.EMAIL,)

    def request(self, message: Message) -> HttpRequest:
        """A reply (or note) on the ticket; without one a mail (or ticket) that opens one.

        Raises MessageRejected or RecipientUnreachable for what Freshdesk would refuse.
        """
        if not tickets.words(message):
            raise MessageRejected(self.key, detail="no words")
        is_internal = tickets.is_internal(message)
        ticket = tickets.ticket_of(message.replaces_vendor_id)
        if ticket and is_internal:
            return self._post(f"/{ticket}/notes", body=_body(message), private=True)
        if ticket:
            return self._post(f"/{ticket}/reply", body=_body(message))
        if not tickets.mailbox(message.to):
            raise RecipientUnreachable(self.key, detail="not a mailbox")
        fields = self._fields(message)
        if is_internal:
            return self._post("", **freshdesk_ticket.for_staff(message, fields=fields))
        opened = freshdesk_ticket.first_mail(message, mailbox_id=self._mailbox, fields=fields)
        return self._post("/outbound_email", **opened)

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """The fields a validation error names decide, then the status."""
        answer = response.json_object()
        ticket = tickets.ticket_of(message.replaces_vendor_id)
        if 200 <= response.status < 300:
            number = tickets.ticket_of(text(answer.get("id")))
            if not number:
                raise OutcomeUnknown(self.key, response, detail="no id in the answer")
            if not ticket:
                return Accepted(vendor_id=number)
            return Accepted(vendor_id=ticket, detail=f"conversation {number}")
        code = code_of(answer)
        if response.status == 400:
            raise error_of(answer, code, self.key, response)
        if response.status == 404 and ticket:
            raise _Gone(self.key, response, vendor_code=code, detail="the ticket is gone")
        if response.status in (405, 406, 415):
            raise ConfigurationError(
                self.key, f"the vendor answered HTTP {response.status}", vendor_code=code
            )
        if response.status == 409:  # changed by somebody else this very moment
            raise TransientError(self.key, response, vendor_code=code)
        if response.status == 429:  # the account's limit, and refused calls count against it too
            raise RateLimited(
                self.key,
                response,
                retry_after_s=response.retry_after_s(),
                whole_account=True,
                vendor_code=code,
            )
        self.raise_for_status(response, vendor_code=code)
        raise OutcomeUnknown(self.key, response)

    async def send(self, message: Message, http: Http) -> Accepted:
        """As inherited; where the ticket is gone, once more as a new one."""
        try:
            return await super().send(message, http)
        except _Gone:
            return await super().send(replace(message, replaces_vendor_id=""), http)

    def look_up(self, message: Message) -> HttpRequest:
        """The conversations of the ticket, or the tickets with this delivery's tag."""
        ticket = tickets.ticket_of(message.replaces_vendor_id)
        if ticket:
            url = f"{self._tickets}/{ticket}/conversations?per_page=100"
        else:
            query = quote(f"\"tag:'{freshdesk_ticket.tag(message)}'\"", safe="")
            url = f"{self.base_url}/api/v2/search/tickets?query={query}"
        return HttpRequest.get(url, auth=self._auth)

    def looked_up(self, message: Message, response: HttpResponse) -> Accepted | None:
        """Found by our mark in a conversation, or by the tag of a ticket.

        The search lags some minutes: "not found" is no proof, and nobody takes it for one.
        """
        ticket = tickets.ticket_of(message.replaces_vendor_id)
        listed = response.json() if ticket else response.json_object().get("results")
        if response.status != 200 or not isinstance(listed, list):
            raise OutcomeUnknown(self.key, response, detail="the list is unreadable")
        for found in objects(listed):
            number = tickets.ticket_of(text(found.get("id")))
            if ticket and freshdesk_ticket.is_said_by(found, message):
                return Accepted(vendor_id=ticket, detail=f"conversation {number}")
            if not ticket and number and freshdesk_ticket.is_opened_by(found, message):
                return Accepted(vendor_id=number)
        return None

    def replies(self, call: InboundCall) -> list[Reply]:
        """The requester's words on a ticket; agents' and our own are none."""
        verify(call, [self.account.get(f"{age}webhook_secret", "") for age in ("", "previous_")])
        reply = read_reply(call)
        return [reply] if reply is not None else []

    @property
    def _tickets(self) -> str:
        return f"{self.base_url}/api/v2/tickets"

    def _post(self, path: str, **body: Any) -> HttpRequest:
        return HttpRequest.post(f"{self._tickets}{path}", json_body=body, auth=self._auth)

    def _fields(self, message: Message) -> dict[str, Any]:
        """What the manager set up for new tickets."""
        values = {
            "number_field": str(message.order.get("number") or ""),
            "status_field": str(message.order.get("state") or tickets.topic(message)),
        }
        custom = {
            self.account[name].strip(): tickets.sendable(value)
            for name, value in values.items()
            if self.account.get(name) and value
        }
        found: dict[str, Any] = {"custom_fields": custom} if custom else {}
        if self._group:
            found["group_id"] = self._group
        if kind := self.account.get("ticket_type", "").strip():
            found["type"] = kind
        return found

    def _number(self, name: str) -> int:
        value = self.account.get(name, "").strip()
        if value and not tickets.ticket_of(value):
            raise ConfigurationError(self.key, f"setting '{name}' is not a number")
        return int(value or 0)


def _body(message: Message) -> str:
    return freshdesk_ticket.html(message)
