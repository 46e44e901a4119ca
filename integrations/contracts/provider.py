"""The interface one provider file fills in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from integrations.contracts.calls import HttpRequest, HttpResponse, InboundCall, Reply200
from integrations.contracts.messages import (
    Accepted,
    Choice,
    Message,
    Receipt,
    Reply,
    StopList,
    StreamEvent,
)
from integrations.contracts.settings import Capabilities, Channel, Setting
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)

if TYPE_CHECKING:
    from integrations.http import Http


class Provider:
    """One outbound vendor. Subclasses translate; sending is inherited.

    ``account`` holds the values of the declared ``settings``. ``base_url`` is the vendor's host,
    or the sandbox's when the account is a sandbox account. ``request`` and ``outcome`` are pure.
    """

    key: ClassVar[str]
    channel: ClassVar[Channel]
    title: ClassVar[str] = ""
    settings: ClassVar[tuple[Setting, ...]] = ()
    capabilities: ClassVar[Capabilities] = Capabilities()
    #: the vendor's production host, e.g. https://api.twilio.com
    live_base_url: ClassVar[str] = ""
    #: only orders this source knows can be told here; their id there is the address
    of_source: ClassVar[str] = ""
    #: a made-up address where the channel's usual form is not this vendor's
    example_address: ClassVar[str] = ""

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        self.account = account
        self.base_url = (base_url or self.live_base_url).rstrip("/")
        for setting in self.settings:
            if setting.required and not account.get(setting.name):
                raise ConfigurationError(self.key, f"setting '{setting.name}' is missing")

    @classmethod
    def example_settings(cls) -> dict[str, str]:
        """Made-up values, good enough to build a request with."""
        given = {one.name: one.default or one.example for one in cls.settings}
        return {name: value for name, value in given.items() if value}

    @classmethod
    def address_channels(cls, settings: Mapping[str, str]) -> tuple[Channel, ...]:
        """The kinds of address an account reaches people by, the preferred first.

        A CRM knows people by mailbox or number: consent is asked for that address.
        """
        return (cls.channel,)

    @classmethod
    def can_begin(cls, settings: Mapping[str, str]) -> bool:
        """Whether an account may begin a conversation with an approved vendor template."""
        return cls.capabilities.vendor_templates

    @classmethod
    def rate_key(cls, settings: Mapping[str, str]) -> str:
        """What the vendor counts requests by where it is not the account; "" = the account.

        Accounts of a restaurant with one key (webhooks of one space) share one budget.
        """
        return ""

    def request(self, message: Message) -> HttpRequest:
        """The exact request for ``message``. Pure."""
        raise NotImplementedError

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Read the vendor's answer: ``Accepted`` or one of the errors of errors.py. Pure."""
        raise NotImplementedError

    async def send(self, message: Message, http: Http) -> Accepted:
        """request -> the network -> outcome. Raises the errors of errors.py, nothing else."""
        try:
            return self.outcome(message, await self.exchange(self.request(message), http))
        except MessageRejected as refusal:
            other = self.instead(message, refusal)
            if other is None:
                raise
            return self.outcome(other, await self.exchange(self.request(other), http))

    def instead(self, message: Message, refusal: MessageRejected) -> Message | None:
        """What goes out at once, and once, in place of a message refused without effect. Pure."""
        return None

    async def exchange(self, request: HttpRequest, http: Http) -> HttpResponse:
        """One request of this account and its answer; adapters with access tokens add theirs."""
        return await http.send(request, provider=self.key)

    def look_up(self, message: Message) -> HttpRequest | None:
        """The request that asks whether an attempt arrived, where the vendor can tell."""
        return None

    def looked_up(self, message: Message, response: HttpResponse) -> Accepted | None:
        """Read the answer to ``look_up``: the acceptance, or None = it never arrived.

        Raises OutcomeUnknown when the answer cannot tell. Pure.
        """
        raise OutcomeUnknown(self.key, response, detail="this vendor cannot be asked")

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """Verify ``call`` (raises SignatureInvalid), then read receipts from it. Pure."""
        return []

    def replies(self, call: InboundCall) -> list[Reply]:
        """Verify ``call`` (raises SignatureInvalid), then read replies from it. Pure."""
        return []

    def handshake(self, call: InboundCall) -> Reply200 | None:
        """Answer a vendor that tests the URL with a challenge; None = not a challenge."""
        return None

    def answer(self, call: InboundCall) -> Reply200:
        """What the vendor wants to hear for a verified, stored call (default: 200, empty)."""
        return Reply200()

    def link_url(self, token: str) -> str:
        """The deep link by which a guest opens a chat that tells us ``token``; "" = none."""
        return ""

    def choice_requests(self, choice: Choice) -> list[HttpRequest]:
        """What tells the vendor's own list about a person's choice; [] = it keeps none. Pure.

        The answers are judged by ``raise_for_status``; a 404 to a DELETE means that it is gone.
        Nothing here may grant what the person did not grant, nor lift what they stopped
        elsewhere: a choice that takes a stop back comes only to an account we told of that stop.
        """
        return []

    def erasure_requests(self, channel: Channel, to: str) -> list[HttpRequest]:
        """What makes the vendor forget a person; [] = it has nothing to forget. Pure."""
        return []

    def stop_list_request(self, since: datetime, page: str = "") -> HttpRequest | None:
        """The request for one page of whom the vendor stopped since then; None = no such list."""
        return None

    def stop_list(self, response: HttpResponse, page: str = "") -> StopList:
        """Read ``page``, the answer to its request; raises the errors of errors.py. Pure."""
        self.raise_for_status(response)
        return StopList()

    def set_up_request(self) -> HttpRequest | None:
        """What asks whether the manager's own part at the vendor is there; None = none is needed.

        Sent through ``exchange`` after a test message; :meth:`set_up_gaps` reads the answer.
        """
        return None

    def set_up_gaps(self, response: HttpResponse) -> list[str]:
        """What is missing there, a sentence each; raises the errors of errors.py. Pure."""
        self.raise_for_status(response)
        return []

    def stream_request(self, offset: str = "", cookie: str = "") -> HttpRequest | None:
        """The request that opens the vendor's stream of events behind ``offset``; None = no such.

        An empty offset begins with what happens from now on. ``cookie`` is what the vendor wants
        to see again after it answered 307. Raises ConfigurationError. Pure.
        """
        return None

    def stream_event(self, line: bytes) -> StreamEvent:
        """Read one line of the stream; raises PayloadMalformed. Pure."""
        return StreamEvent()

    def raise_for_status(self, response: HttpResponse, *, vendor_code: str = "") -> None:
        """The classes every HTTP vendor shares; call it after the vendor's own codes."""
        status = response.status
        if 200 <= status < 300:
            return
        if status == 429:
            raise RateLimited(
                self.key,
                response,
                retry_after_s=response.retry_after_s(),
                vendor_code=vendor_code,
            )
        if status in (401, 403, 404) or 300 <= status < 400:
            raise ConfigurationError(
                self.key, f"the vendor answered HTTP {status}", vendor_code=vendor_code
            )
        if status in (502, 504):
            raise OutcomeUnknown(self.key, response, vendor_code=vendor_code)
        if status >= 500 or status == 408:
            raise TransientError(self.key, response, vendor_code=vendor_code)
        raise MessageRejected(self.key, response, vendor_code=vendor_code)
