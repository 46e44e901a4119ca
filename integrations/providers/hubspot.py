"""Order news for a restaurant's own HubSpot workflows. Vendor facts are in hubspot.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from integrations import crm_values
from integrations.access_tokens import AccessToken
from integrations.contracts import (
    Accepted,
    Capabilities,
    Channel,
    Choice,
    HttpRequest,
    HttpResponse,
    InboundCall,
    Message,
    Provider,
    Receipt,
    Setting,
    StopList,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RecipientUnreachable,
    TransientError,
)
from integrations.payloads import objects, text
from integrations.providers import hubspot_calls as calls
from integrations.providers import hubspot_codes as codes
from integrations.providers import hubspot_lists as lists
from integrations.providers import hubspot_values as values
from integrations.providers.hubspot_settings import SETTINGS, check, is_event_name

if TYPE_CHECKING:
    from integrations.http import Http


class HubSpot(Provider):
    """Writes the news to the guest's contact (or sends an event, or a mail by single-send).

    HubSpot's workflow then decides and tells; consent is asked for the mailbox before. ``send``
    is overridden for two requests that may go around the one that tells: whether the guest
    unsubscribed there, and an upsert that lost a race, which is repeated as an update.
    """

    key = "hubspot"
    channel = Channel.CRM
    title = "HubSpot"
    live_base_url = "https://api.hubapi.com"
    settings: ClassVar[tuple[Setting, ...]] = SETTINGS
    # a repetition writes the same values, or carries the same uuid or sendId
    capabilities = Capabilities(receipts=True, idempotency_key=True, rate_per_s=5.0)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        check(self.key, account)
        self.version = account.get("api_version") or "2026-09"
        self.method = account.get("method") or "property"
        self._token = AccessToken(self._ask_for_token, provider=self.key)

    @classmethod
    def address_channels(cls, settings: Mapping[str, str]) -> tuple[Channel, ...]:
        """HubSpot knows people by mailbox; its subscriptions are about mail only."""
        return (Channel.EMAIL,)

    def request(self, message: Message) -> HttpRequest:
        """The one request that tells. Raises RecipientUnreachable for what is no mailbox."""
        to = self._mailbox(message)
        if self.method == "event":
            return self._post(f"/events/custom/{self.version}/send", self._event(message, to))
        if self.method == "single_send":
            path = f"/marketing/transactional/{self.version}/single-email/send"
            return self._post(path, self._mail(message, to))
        contact = {
            "idProperty": "email",
            "id": to,
            "objectWriteTraceId": message.attempt_id,
            "properties": values.contact_properties(message, self._prefix),
        }
        return self._post(
            f"/crm/objects/{self.version}/contacts/batch/upsert", {"inputs": [contact]}
        )

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Accepted = recorded: what the workflow makes of it, HubSpot tells nobody."""
        answer, status = response.json_object(), response.status
        if status == 204 and self.method == "event":
            return Accepted(vendor_id=crm_values.once_key(message))
        if not 200 <= status < 300:
            self.raise_for_status(response)
        if self.method == "single_send":
            return self._sent(answer, response)
        for error in objects(answer.get("errors")):
            codes.raise_for_error(self.key, response, error)
        # an upsert lists what it wrote, an update is the contact
        for found in (*objects(answer.get("results")), answer):
            if contact := text(found.get("id")):
                return Accepted(contact, detail="new contact" if found.get("new") is True else "")
        raise OutcomeUnknown(self.key, response, detail="no contact id in the answer")

    async def send(self, message: Message, http: Http) -> Accepted:
        """Ask, tell, and where the upsert met another writer, tell once more as an update."""
        request = self.request(message)
        if self.account.get("subscription_id") and self.account.get("ask_first") != "no":
            await self._refuse_unsubscribed(message, http)
        response = await self.exchange(request, http)
        if self.method == "property" and codes.is_conflict(response):
            response = await self.exchange(self.update_request(message), http)
            if response.status == 404:  # the other writer removed it
                raise TransientError(self.key, response)
        return self.outcome(message, response)

    async def exchange(self, request: HttpRequest, http: Http) -> HttpResponse:
        """With the access token of an OAuth app, renewed once where HubSpot refuses it."""
        if not self.account.get("refresh_token"):
            return await super().exchange(request, http)
        return await self._token.exchange(request, http)

    def update_request(self, message: Message) -> HttpRequest:
        """The same properties for a contact that exists."""
        path = f"/crm/objects/{self.version}/contacts/{quote(self._mailbox(message), safe='')}"
        body = {"properties": values.contact_properties(message, self._prefix)}
        made = self._post(f"{path}?idProperty=email", body)
        return HttpRequest("PATCH", made.url, made.headers, made.body)

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """People who say no in HubSpot, and what the manager's workflow reports."""
        return calls.read_receipts(call, self.account)

    def choice_requests(self, choice: Choice) -> list[HttpRequest]:
        """Stops of mail, and the end of a stop of ours; nobody is ever subscribed."""
        told = lists.changes(choice, self.account, self.version)
        return [self._post(path, body) for path, body in told]

    def erasure_requests(self, channel: Channel, to: str) -> list[HttpRequest]:
        """Delete the contact for good; HubSpot then refuses the mailbox in future."""
        if channel != Channel.EMAIL:
            return []
        path = f"/crm/objects/{self.version}/contacts/gdpr-delete"
        return [self._post(path, {"objectId": to.strip(), "idProperty": "email"})]

    def statuses_request(self, to: str) -> HttpRequest:
        """The subscriptions of one mailbox; :func:`hubspot_lists.is_unsubscribed` reads it."""
        path = f"/communication-preferences/{self.version}/statuses/{quote(to, safe='')}"
        return HttpRequest.get(f"{self.base_url}{path}?channel=EMAIL", headers=self._headers())

    def stop_list_request(self, since: datetime, page: str = "") -> HttpRequest:
        """Contacts changed since then whose properties say no."""
        path = f"/crm/objects/{self.version}/contacts/search"
        return self._post(path, lists.search(since, page, self.account))

    def stop_list(self, response: HttpResponse, page: str = "") -> StopList:
        """A page of them."""
        self._require_results(response)
        return lists.read_search(response, self.account)

    def set_up_request(self) -> HttpRequest | None:
        """The contact properties there are; events and mails have none of ours."""
        if self.method != "property":
            return None
        path = f"/crm/properties/{self.version}/contacts"
        return HttpRequest.get(f"{self.base_url}{path}", headers=self._headers())

    def set_up_gaps(self, response: HttpResponse) -> list[str]:
        """The properties nobody has created yet."""
        self._require_results(response)
        return values.contact_gaps(response, self._prefix)

    def raise_for_status(self, response: HttpResponse, *, vendor_code: str = "") -> None:
        """HubSpot's own words first."""
        if not 200 <= response.status < 300:
            codes.raise_for_refusal(self.key, response)
        super().raise_for_status(response, vendor_code=vendor_code)

    def _require_results(self, response: HttpResponse) -> None:
        """A page of something in between is not an empty list: nobody's stop may be missed."""
        self.raise_for_status(response)
        if not isinstance(response.json_object().get("results"), list):
            raise OutcomeUnknown(self.key, response, detail="the list is unreadable")

    async def _refuse_unsubscribed(self, message: Message, http: Http) -> None:
        """Raises MessageRejected, so that the next step tells the guest.

        The ledger learns of it by webhook and stop list only, which know our own stops from the
        guest's. Nothing has been written yet, so any doubt is transient.
        """
        try:
            asked = self.statuses_request(self._mailbox(message))
            response = await self.exchange(asked, http)
            if response.status == 404:  # a mailbox HubSpot has never heard of
                return
            self.raise_for_status(response)
        except OutcomeUnknown as error:
            raise TransientError(self.key, detail="no answer about subscriptions") from error
        if lists.is_unsubscribed(response, self.account["subscription_id"]):
            raise MessageRejected(self.key, response, vendor_code="UNSUBSCRIBED")

    def _sent(self, answer: Mapping[str, Any], response: HttpResponse) -> Accepted:
        word, status_id = text(answer.get("sendResult")), text(answer.get("statusId"))
        if word:
            if not codes.raise_for_send_result(self.key, response, word):
                raise OutcomeUnknown(self.key, response, detail="an unknown sendResult")
            return Accepted(status_id, detail=word)
        if not status_id:
            raise OutcomeUnknown(self.key, response, detail="no statusId in the answer")
        return Accepted(status_id)

    def _event(self, message: Message, to: str) -> dict[str, Any]:
        wanted = message.vendor_template.strip()
        name = wanted if is_event_name(wanted) else self.account["event_name"]
        return values.event_body(message, to, name)

    def _mail(self, message: Message, to: str) -> dict[str, Any]:
        named = (message.vendor_template.strip(), self.account.get("email_id", ""))
        email_id = next((name for name in named if name.isascii() and name.isdecimal()), "")
        if not email_id:
            raise ConfigurationError(
                self.key, "single-send needs setting 'email_id' or a vendor template, a number"
            )
        reply_to = self.account.get("reply_to", "").strip()
        return values.mail_body(message, to, int(email_id), reply_to)

    def _mailbox(self, message: Message) -> str:
        to = message.to.strip()
        try:
            validate_email(to)
        except ValidationError:
            raise RecipientUnreachable(self.key, detail="not an e-mail address") from None
        return to

    def _ask_for_token(self, at: datetime) -> HttpRequest:
        names = ("client_id", "client_secret", "refresh_token")
        form = {"grant_type": "refresh_token", **{name: self.account[name] for name in names}}
        return HttpRequest.post(f"{self.base_url}/oauth/{self.version}/token", form=form)

    def _post(self, path: str, body: Any) -> HttpRequest:
        return HttpRequest.post(f"{self.base_url}{path}", json_body=body, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        token = self.account.get("access_token")
        return {
            "Accept": "application/json",
            **({"Authorization": f"Bearer {token}"} if token else {}),
        }

    @property
    def _prefix(self) -> str:
        return self.account.get("property_prefix") or "last_order_"
