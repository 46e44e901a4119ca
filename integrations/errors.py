"""What can go wrong between us and a vendor, as the six classes the dispatcher understands.

The text of an error carries provider, HTTP status and vendor code, never a body, an address
or a secret, so it may be logged and shown as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integrations.contracts import HttpResponse


class ConfigurationError(Exception):
    """Missing or refused credentials or a dead endpoint: stop the account, tell the manager.

    ``endpoint_only`` says that only the one address (a chat webhook) is dead, not the account.
    """

    def __init__(
        self, provider: str, detail: str, *, vendor_code: str = "", endpoint_only: bool = False
    ) -> None:
        super().__init__(f"{provider}: {detail}")
        self.provider = provider
        self.detail = detail
        self.vendor_code = vendor_code
        self.endpoint_only = endpoint_only


class IntegrationError(Exception):
    """Base of every answer that is not an acceptance."""

    #: lowercase code stored on the attempt; never changes
    code = "error"

    def __init__(
        self,
        provider: str,
        response: HttpResponse | None = None,
        *,
        vendor_code: str = "",
        detail: str = "",
    ) -> None:
        self.provider = provider
        self.status = response.status if response is not None else None
        self.vendor_code = vendor_code
        self.detail = detail
        words = [provider, self.code]
        if self.status is not None:
            words.append(f"HTTP {self.status}")
        if vendor_code:
            words.append(f"code {vendor_code}")
        if detail:
            words.append(detail)
        super().__init__(" · ".join(words))


class TransientError(IntegrationError):
    """Not processed and worth repeating: refused connection, 500/503, a full queue.

    ``most_retries`` where it may as well be something that repeating never mends.
    """

    code = "transient"

    def __init__(
        self,
        provider: str,
        response: HttpResponse | None = None,
        *,
        vendor_code: str = "",
        detail: str = "",
        most_retries: int | None = None,
    ) -> None:
        super().__init__(provider, response, vendor_code=vendor_code, detail=detail)
        self.most_retries = most_retries


class RateLimited(TransientError):
    """The vendor asks us to wait ``retry_after_s`` seconds (None: it did not say how long).

    ``whole_account``: with everything at this account, and not with this one message only.
    """

    code = "rate_limited"

    def __init__(
        self,
        provider: str,
        response: HttpResponse | None = None,
        *,
        retry_after_s: float | None = None,
        whole_account: bool = False,
        vendor_code: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(provider, response, vendor_code=vendor_code, detail=detail)
        self.retry_after_s = retry_after_s
        self.whole_account = whole_account


class OutcomeUnknown(IntegrationError):
    """The request left and no usable answer came (time-out, 502/504): it may have been done."""

    code = "unknown"


class RecipientUnreachable(IntegrationError):
    """This address cannot be reached: bad number, dead token, blocked bot."""

    code = "unreachable"


class RecipientOptedOut(IntegrationError):
    """The vendor says this recipient stopped us: record the revocation.

    ``purpose`` names what they stopped ("marketing"; "" = the whole channel). ``reason`` is
    "carrier" where a network blocks us, "user" where the person did it in the vendor's app.
    """

    code = "opted_out"

    def __init__(
        self,
        provider: str,
        response: HttpResponse | None = None,
        *,
        vendor_code: str = "",
        purpose: str = "",
        reason: str = "carrier",
    ) -> None:
        super().__init__(provider, response, vendor_code=vendor_code)
        self.purpose = purpose
        self.reason = reason


class MessageRejected(IntegrationError):
    """The text or template was refused: the manager who owns it must change it."""

    code = "rejected"


class SignatureInvalid(Exception):
    """A call that claims to be a vendor's and is not (or is stale). ``hint`` helps a manager.

    The hint says expected-versus-got in shape only (header missing, length, age), never a secret.
    """

    def __init__(self, hint: str) -> None:
        super().__init__(hint)
        self.hint = hint


class PayloadMalformed(Exception):
    """A verified call whose body we cannot read; the text names the path and what is wrong."""


class EventIgnored(Exception):
    """A verified call that has nothing to say about an order (a ping, a courier position)."""
