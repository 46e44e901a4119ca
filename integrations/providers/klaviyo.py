"""Order news for a restaurant's own Klaviyo flows. Vendor facts are in klaviyo.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from integrations import crm_values
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
    OutcomeUnknown,
    RecipientUnreachable,
)
from integrations.providers import klaviyo_codes as codes
from integrations.providers import klaviyo_flows as flows
from integrations.providers import klaviyo_lists as lists
from integrations.providers.klaviyo_calls import read_receipts

_JSON_API = "application/vnd.api+json"
_REVISION = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}(\.[a-z]{2,8})?")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
#: a metric's name has fewer than 128 characters
_LONGEST_METRIC = 127
#: an event before it is refused
_FIRST_YEAR = 1990
_KNOWN_BY: Mapping[str, tuple[Channel, ...]] = {
    "email": (Channel.EMAIL,),
    "sms": (Channel.SMS,),
    "push": (Channel.EMAIL, Channel.SMS),
}


class Klaviyo(Provider):
    """One event about a profile; the restaurant's metric-triggered flow writes the message.

    Only the one identifier consent was asked for is sent, and no other field of the profile.
    """

    key = "klaviyo"
    channel = Channel.CRM
    title = "Klaviyo"
    live_base_url = "https://a.klaviyo.com"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "api_key",
            label="Private API key",
            secret=True,
            help="pk_...; scopes events:write, profiles, subscriptions:write, data-privacy:write",
            example="pk_0123456789abcdef0123456789abcdef01",
        ),
        Setting(
            "speaks",
            label="The flow speaks by",
            required=False,
            default="email",
            choices=tuple(_KNOWN_BY),
            help="consent is asked for this; with push the guest is known by mailbox or number",
        ),
        Setting(
            "metric",
            label="Metric",
            required=False,
            default="Order Status Changed",
            help="the flow's trigger; a message template's vendor template replaces it",
        ),
        Setting(
            "unsubscribes_count",
            label="Unsubscribing from marketing stops order news",
            required=False,
            default="no",
            choices=("no", "yes"),
            help="yes, unless Klaviyo has approved the flow's message as transactional",
        ),
        Setting(
            "flow_key",
            label="Key for flow webhooks",
            secret=True,
            required=False,
            help="you choose it; a flow's webhook action sends it in X-Order-Up-Key",
        ),
        Setting(
            "previous_flow_key",
            label="Previous key for flow webhooks",
            secret=True,
            required=False,
            help="while you change it: counts too, until you remove it",
        ),
        Setting(
            "webhook_secret",
            label="Secret key of the system webhook",
            secret=True,
            required=False,
            help="without it system webhooks are refused",
        ),
        Setting(
            "previous_webhook_secret",
            label="Previous secret key of the system webhook",
            secret=True,
            required=False,
            help="while you change it: counts too, until you remove it",
        ),
        Setting("revision", label="API revision", required=False, default="2026-07-15"),
    )
    # unique_id: only the first event of a profile and metric counts
    capabilities = Capabilities(receipts=True, idempotency_key=True, rate_per_s=55.0)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        self.speaks = account.get("speaks") or "email"
        if self.speaks not in _KNOWN_BY:
            raise ConfigurationError(self.key, "setting 'speaks' must be email, sms or push")
        if not _REVISION.fullmatch(account.get("revision") or "2026-07-15"):
            raise ConfigurationError(
                self.key, "setting 'revision' is not a date of an API revision"
            )
        if len(self.metric) > _LONGEST_METRIC:
            raise ConfigurationError(self.key, "setting 'metric' is longer than 127 characters")

    @property
    def metric(self) -> str:
        """The account's own metric."""
        return self.account.get("metric", "").strip() or "Order Status Changed"

    @classmethod
    def address_channels(cls, settings: Mapping[str, str]) -> tuple[Channel, ...]:
        """By what the flow speaks; a device's permission for push is the app's own."""
        return _KNOWN_BY.get(settings.get("speaks") or "email", (Channel.EMAIL,))

    def request(self, message: Message) -> HttpRequest:
        """POST an event. Raises RecipientUnreachable for what is no mailbox or number."""
        at = crm_values.occurred_at(message)
        named = crm_values.sendable(message.vendor_template).strip()
        attributes = {
            "metric": _resource("metric", {"name": named[:_LONGEST_METRIC] or self.metric}),
            "profile": _resource("profile", self._person(message.to)),
            "properties": crm_values.values_of(message),
            **({"time": at.isoformat()} if at and at.year >= _FIRST_YEAR else {}),
            # without it two bowls ready in one second would be one event
            "unique_id": crm_values.once_key(message),
        }
        return self._call("POST", "/api/events", _resource("event", attributes))

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """202: taken and not yet processed; our ``unique_id`` is the only reference."""
        if response.status == 202:
            return Accepted(vendor_id=crm_values.once_key(message))
        self.raise_for_status(response)
        raise OutcomeUnknown(self.key, response, detail="an event is accepted with 202")

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """Events of a system webhook about our messages, and what the flow itself reports."""
        return read_receipts(call, self.account)

    def choice_requests(self, choice: Choice) -> list[HttpRequest]:
        """Stops only; subscribing would lift what the person stopped at Klaviyo.

        Never with a list: whoever is not on it would be unsubscribed from everything.
        """
        body = lists.unsubscription(choice)
        if body is None:
            return []
        return [self._call("POST", "/api/profile-subscription-bulk-delete-jobs", body)]

    def erasure_requests(self, channel: Channel, to: str) -> list[HttpRequest]:
        """Delete every profile with this mailbox or number."""
        names = {Channel.EMAIL: "email", Channel.SMS: "phone_number"}
        if channel not in names:
            return []
        profile = _resource("profile", {names[channel]: to.strip()})
        body = _resource("data-privacy-deletion-job", {"profile": profile})
        return [self._call("POST", "/api/data-privacy-deletion-jobs", body)]

    def stop_list_request(self, since: datetime, page: str = "") -> HttpRequest | None:
        """Profiles Klaviyo will not mail (or text) since then; None for push."""
        query = lists.profiles_query(self.speaks, since, page)
        return self._call("GET", f"/api/profiles?{query}") if query else None

    def stop_list(self, response: HttpResponse, page: str = "") -> StopList:
        """A page of them."""
        self._require_data(response)
        is_marketing_enough = self.account.get("unsubscribes_count") == "yes"
        return lists.read_profiles(response, self.speaks, is_marketing_enough)

    def set_up_request(self) -> HttpRequest:
        """The account's metrics, each with the flows that start on it."""
        return self._call("GET", f"/api/metrics?{flows.QUERY}")

    def set_up_gaps(self, response: HttpResponse) -> list[str]:
        """That no live flow listens: Klaviyo would take every event and tell nobody."""
        self._require_data(response)
        return flows.gaps(response, self.metric)

    def raise_for_status(self, response: HttpResponse, *, vendor_code: str = "") -> None:
        """Where an error points to, then the status."""
        code = codes.raise_for_refusal(self.key, response)
        super().raise_for_status(response, vendor_code=vendor_code or code)

    def _require_data(self, response: HttpResponse) -> None:
        """A page of something in between is not an empty list: nobody's stop may be missed."""
        self.raise_for_status(response)
        if not isinstance(response.json_object().get("data"), list):
            raise OutcomeUnknown(self.key, response, detail="the list is unreadable")

    def _person(self, to: str) -> dict[str, str]:
        to = to.strip()
        kinds = _KNOWN_BY[self.speaks]
        if Channel.SMS in kinds and _NUMBER.fullmatch(to):
            return {"phone_number": to}
        if Channel.EMAIL in kinds:
            try:
                validate_email(to)
            except ValidationError:
                pass
            else:
                return {"email": to}
        wanted = " or ".join("mailbox" if kind == Channel.EMAIL else "number" for kind in kinds)
        raise RecipientUnreachable(self.key, detail=f"not a {wanted}")

    def _call(self, method: str, path: str, data: Any = None) -> HttpRequest:
        headers = {
            "Authorization": f"Klaviyo-API-Key {self.account['api_key'].strip()}",
            "revision": self.account.get("revision") or "2026-07-15",
            "Accept": _JSON_API,
        }
        body = b""
        if data is not None:
            headers["Content-Type"] = _JSON_API
            body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
        return HttpRequest(method, f"{self.base_url}{path}", headers, body)


def _resource(kind: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"data": {"type": kind, "attributes": dict(attributes)}}
