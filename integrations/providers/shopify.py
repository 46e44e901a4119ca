"""Order news written back into a Shopify shop. Vendor facts are in shopify.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from integrations.access_tokens import AccessToken
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
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    PayloadMalformed,
    TransientError,
)
from integrations.payloads import inner, text
from integrations.providers import shopify_calls as calls
from integrations.providers import shopify_codes as codes
from integrations.providers import shopify_facts as facts
from integrations.providers import shopify_order as shop

if TYPE_CHECKING:
    from integrations.http import Http

TOKEN_HEADER = "X-Shopify-Access-Token"  # noqa: S105 - a name
#: ten fulfilment orders and as many fulfilments, each made, tracked and told about at most once
_MOST_STEPS = 50
_SHOP = re.compile(r"[a-z0-9][a-z0-9-]{0,99}\.myshopify\.com")
_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}|unstable")
_ORDER_ID = re.compile(r"[0-9]{1,20}")


class Shopify(Provider):
    """Keeps the shop's own order page right, and lets Shopify tell the guest where it should.

    The address is the order. ``send`` reads the order first and writes only what the shop does not
    know yet, so a repetition tells nobody twice; news may take several mutations (goods leave,
    then they are on their way). ``request`` is the one that tells. Ids only the shop knows are
    filled in when it is sent and end in 0 before: ``id`` of a fulfilment order,
    ``fulfillmentOrderId`` and ``fulfillmentId``. News Shopify has no word for is accepted and
    nothing is sent; its ``request`` is the question about the order.
    """

    key = "shopify"
    channel = Channel.COMMERCE
    title = "Shopify"
    of_source = "shopify"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "shop_domain",
            "Shop",
            help="the permanent name, e.g. lucky-bowl.myshopify.com",
            example="lucky-bowl.myshopify.com",
        ),
        Setting(
            "client_id",
            "App client id",
            required=False,
            example="0123456789abcdef0123456789abcdef",
            help="of an app of your organisation, from the Dev Dashboard",
        ),
        Setting(
            "client_secret",
            "App client secret",
            secret=True,
            required=False,
            example="shpss_0123456789abcdef",
        ),
        Setting(
            "access_token",
            "Admin API access token",
            secret=True,
            required=False,
            help="only for custom apps made in the shop's admin before 2026, instead of the above",
        ),
        Setting(
            "notify_customer",
            "Shopify tells the guest",
            required=False,
            default="no",
            choices=("yes", "no"),
            help="yes: Shopify mails when an order leaves, changes courier or is cancelled. Then "
            "let our own routes stay silent about it",
        ),
        Setting(
            "ready_mail_is_off",
            "The shop's mail “Ready for local pickup” is off",
            required=False,
            default="no",
            choices=("yes", "no"),
            help="Shopify always sends it with “ready”. Unless it may tell the guest or the mail "
            "is off, “ready” is not written",
        ),
        Setting(
            "cancel_orders",
            "Cancel in the shop what is cancelled here",
            required=False,
            default="no",
            choices=("yes", "no"),
            help="without refund and without putting goods back into stock",
        ),
        Setting("api_version", "API version", required=False, default="2026-10"),
    )
    # a read and a write cost about 30 of the 100 points a second of the smallest plan
    capabilities = Capabilities(rate_per_s=2.0, account_is_address=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        typed = account.get("shop_domain", "").strip().casefold()
        domain = typed.removeprefix("https://").rstrip("/")
        if not _SHOP.fullmatch(domain):
            raise ConfigurationError(
                self.key, "setting 'shop_domain' is no permanent name (….myshopify.com)"
            )
        self._static = account.get("access_token", "").strip()
        if not self._static and not (account.get("client_id") and account.get("client_secret")):
            raise ConfigurationError(
                self.key, "settings 'client_id' and 'client_secret' are missing"
            )
        version = account.get("api_version") or "2026-10"
        if not _VERSION.fullmatch(version):
            raise ConfigurationError(self.key, "setting 'api_version' looks like 2026-10")
        self.base_url = self.base_url or f"https://{domain}"
        self._url = f"{self.base_url}/admin/api/{version}/graphql.json"
        self._token = AccessToken(self._ask_for_token, provider=self.key)
        notify = account.get("notify_customer") == "yes"
        self._rules = shop.Rules(
            notify=notify,
            tells_ready=notify or account.get("ready_mail_is_off") == "yes",
            cancels=account.get("cancel_orders") == "yes",
        )

    def request(self, message: Message) -> HttpRequest:
        """The mutation that tells, or a question where there is nothing to write.

        Raises MessageRejected for an order that is not from Shopify.
        """
        if message.event_kind == "test":
            return self._post(calls.read_shop())
        self._require_order(message)
        deed = shop.deed_of(message, self._rules)
        if deed is None:
            return self._post(calls.read_order(message))
        return self._post(shop.blank_step(deed, message, self._rules).body)

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Accepted = Shopify stored it; whether its own mail arrives it tells nobody."""
        self.raise_for_status(response)
        if message.event_kind == "test":
            if not text(inner(codes.data_of(self.key, response), "shop").get("id")):
                raise OutcomeUnknown(self.key, response, detail="no shop in the answer")
            return Accepted(detail="the shop answered")
        deed = shop.deed_of(message, self._rules)
        if deed is None:
            codes.order_of(self.key, response)
            return Accepted(detail=shop.NO_WORD)
        return codes.written(self.key, response, deed.mutation)

    async def send(self, message: Message, http: Http) -> Accepted:
        """Read the order, then write what it lacks, one mutation after the other."""
        deed = shop.deed_of(message, self._rules)
        if message.event_kind == "test":
            return await super().send(message, http)
        self._require_order(message)
        if deed is None:
            return Accepted(detail=shop.NO_WORD)
        order = await self._read(message, http)
        accepted: Accepted | None = None
        for _ in range(_MOST_STEPS):
            step = shop.next_step(order, deed, message, self._rules)
            if isinstance(step, str):
                return accepted or Accepted(detail=step)
            response = await self.exchange(self._post(step.body), http)
            self.raise_for_status(response)
            accepted = codes.written(self.key, response, step.mutation)
            order = shop.after(order, step, accepted.vendor_id, deed, message)
        raise MessageRejected(self.key, detail="the order has too many fulfilments")

    async def exchange(self, request: HttpRequest, http: Http) -> HttpResponse:
        """With the app's token, renewed once where Shopify refuses it."""
        if self._static:
            return await super().exchange(request, http)
        return await self._token.exchange(request, http, header=TOKEN_HEADER, scheme="")

    def raise_for_status(self, response: HttpResponse, *, vendor_code: str = "") -> None:
        """Shopify's own statuses first."""
        codes.raise_for_status(self.key, response)
        super().raise_for_status(response, vendor_code=vendor_code)

    async def _read(self, message: Message, http: Http) -> facts.ShopOrder:
        """The order as the shop has it; nothing is written yet, so any doubt is transient."""
        try:
            response = await self.exchange(self._post(calls.read_order(message)), http)
            self.raise_for_status(response)
            return facts.read(codes.order_of(self.key, response))
        except OutcomeUnknown as error:
            raise TransientError(self.key, detail="no answer about the order") from error
        except PayloadMalformed as error:
            raise TransientError(self.key, detail="the order cannot be read") from error

    def _require_order(self, message: Message) -> None:
        if not _ORDER_ID.fullmatch(message.source_order_id):
            raise MessageRejected(self.key, detail="the order is not from Shopify")

    def _ask_for_token(self, at: datetime) -> HttpRequest:
        names = ("client_id", "client_secret")
        form = {"grant_type": "client_credentials", **{n: self.account[n] for n in names}}
        return HttpRequest.post(f"{self.base_url}/admin/oauth/access_token", form=form)

    def _post(self, body: Any) -> HttpRequest:
        headers = {"Accept": "application/json"}
        if self._static:
            headers[TOKEN_HEADER] = self._static
        return HttpRequest.post(self._url, json_body=body, headers=headers)
