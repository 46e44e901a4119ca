"""Order events that start a flow in Microsoft Power Automate. Facts are in power_automate.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import SplitResult, parse_qs, urlsplit

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
    Receipt,
    Setting,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
)
from integrations.flow_calls import read_flow_call, require_key
from integrations.payloads import inner, text
from integrations.providers.power_automate_event import event_body

if TYPE_CHECKING:
    from integrations.http import Http

_WAIT_S = 60.0
#: where flows live, in every cloud of Microsoft's: our token is shown to nobody else
_HOSTS = re.compile(
    r"(?:[a-z0-9-]+\.)+(?:logic\.azure\.(?:com|us|cn)"
    r"|api\.powerplatform\.(?:com|us|cn)|api\.(?:gov|high)\.powerplatform\.microsoft\.us"
    r"|api\.appsplatform\.us)"
)
_PATH = re.compile(r"/(?:.*/)?workflows/[^/]+/triggers/[^/]+/.+")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,99}")
PUBLIC_AUDIENCE = "https://service.flow.microsoft.com/"
_AUDIENCE = re.compile(r"https://[a-z0-9.-]+/")
_SIGN_IN_HOSTS = (
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
)
_CODE = re.compile(r"[A-Za-z]{1,60}")
#: refusals a new token does not help against
_NOT_EXPIRED = frozenset({"DirectApiAuthorizationRequired", "MisMatchingOAuthClaims"})
_DEAD = frozenset({"WorkflowTriggerIsNotEnabled", "WorkflowNotFound"})


class PowerAutomate(Provider):
    """One POST per order event to one flow; the flow's URL is the address.

    A URL with ``sig=`` opens the flow by itself. Without one the flow wants a token of the
    tenant, which is asked for with the app registration's secret.
    """

    key = "power_automate"
    channel = Channel.AUTOMATION
    title = "Microsoft Power Automate"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "trigger_url",
            label="Flow URL",
            secret=True,
            is_url=True,
            help="of 'When an HTTP request is received', whole, as the flow shows it",
            example="https://0123456789abcdef.0a.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/0123456789abcdef/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=0123456789abcdef",
        ),
        Setting(
            "tenant_id",
            label="Tenant id",
            required=False,
            help="only where the URL has no 'sig=': the flow is for users of your tenant",
        ),
        Setting("client_id", label="Application id", required=False),
        Setting("client_secret", label="Application secret", secret=True, required=False),
        Setting(
            "audience",
            label="Audience",
            required=False,
            default=PUBLIC_AUDIENCE,
            help="other in government clouds and China; the slash at the end counts",
        ),
        Setting(
            "sign_in_host",
            label="Sign-in host",
            required=False,
            default=_SIGN_IN_HOSTS[0],
            choices=_SIGN_IN_HOSTS,
        ),
        Setting(
            "guest_data",
            label="Guest's name and the message's words",
            required=False,
            default="no",
            choices=("no", "yes"),
            help="yes: only if the flow respects what guests chose",
        ),
        Setting(
            "flow_key",
            label="Key for calls from the flow",
            secret=True,
            required=False,
            help="you choose it; an HTTP action at the flow's end sends it in X-Order-Up-Key",
        ),
        Setting(
            "previous_flow_key",
            label="Previous key for calls from the flow",
            secret=True,
            required=False,
            help="while you change it: counts too, until you remove it",
        ),
    )
    capabilities = Capabilities(receipts=True, rate_per_s=15.0, account_is_address=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        url = account["trigger_url"].strip()
        parts = self._checked_url(url)
        #: as it was copied: decoding and encoding it again would break the signature in it
        self._url = f"{self.base_url}{parts.path}?{parts.query}" if self.base_url else url
        is_signed = bool(parse_qs(parts.query).get("sig"))
        self._token = None if is_signed else self._access_token()

    def request(self, message: Message) -> HttpRequest:
        """POST one event, without the access token."""
        body = event_body(message, guest_data=self.account.get("guest_data") == "yes")
        headers = {"Content-Type": "application/json"}
        return HttpRequest("POST", self._url, headers, body, untrusted_url=True)

    async def send(self, message: Message, http: Http) -> Accepted:
        """POST it; what happened at no known time happened now."""
        if not message.event.get("occurred_at"):
            now = datetime.now(UTC).isoformat()
            message = replace(message, event={**message.event, "occurred_at": now})
        return await super().send(message, http)

    async def exchange(self, request: HttpRequest, http: Http) -> HttpResponse:
        """With the tenant's token, where the flow wants one; a refused one is renewed once."""
        if self._token is None:
            return await super().exchange(request, http)
        return await self._token.exchange(request, http, is_refusal=_is_expired)

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """A run that has begun is accepted, whatever its Response action did; else the code."""
        status, code = response.status, _code(response)
        run = text(response.headers.get("x-ms-workflow-run-id"))
        is_flow = any(name.startswith("x-ms-") for name in response.headers)
        if status == 202 or (status == 200 and is_flow):
            return Accepted(vendor_id=run)
        if status in (502, 504) and (code == "NoResponse" or run):
            return Accepted(run, detail="the flow runs; its Response action did not answer")
        if 200 <= status < 300:
            raise OutcomeUnknown(self.key, response, detail="this is not a flow's answer")
        if status == 429:
            wait_s = response.retry_after_s()
            raise RateLimited(
                self.key,
                response,
                retry_after_s=_WAIT_S if wait_s is None else wait_s,
                whole_account=True,  # the account is the flow
                vendor_code=code,
            )
        if code == "TriggerInputSchemaMismatch":
            raise MessageRejected(
                self.key, response, vendor_code=code, detail="the flow has another schema"
            )
        if code in _DEAD or code in _NOT_EXPIRED or status in (401, 403, 404, 410):
            raise ConfigurationError(
                self.key,
                f"the flow cannot be started: {code or f'HTTP {status}'}",
                vendor_code=code,
                endpoint_only=True,
            )
        self.raise_for_status(response, vendor_code=code)
        raise OutcomeUnknown(self.key, response)

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """What a flow says about its own end, where its author added a call to us."""
        require_key(call, *(self.account.get(f"{age}flow_key", "") for age in ("", "previous_")))
        return read_flow_call(call)

    def _checked_url(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port, host = parts.port, (parts.hostname or "").lower()
        except ValueError:
            raise ConfigurationError(self.key, "setting 'trigger_url' is not an address") from None
        is_address = parts.scheme == "https" and port in (None, 443) and parts.username is None
        if not is_address or not _HOSTS.fullmatch(host) or not _PATH.fullmatch(parts.path):
            raise ConfigurationError(
                self.key, "setting 'trigger_url' is not the https address of a flow's trigger"
            )
        return parts

    def _access_token(self) -> AccessToken:
        names = ("tenant_id", "client_id", "client_secret")
        tenant, client, secret = (self.account.get(name, "").strip() for name in names)
        for name, value in zip(names, (tenant, client, secret), strict=True):
            if not value:
                raise ConfigurationError(
                    self.key,
                    f"setting '{name}' is missing: the flow's URL has no 'sig=', so it wants a "
                    "token of your tenant",
                )
        audience = self.account.get("audience", "").strip() or PUBLIC_AUDIENCE
        host = self.account.get("sign_in_host", "").strip() or _SIGN_IN_HOSTS[0]
        if not _TENANT.fullmatch(tenant):
            raise ConfigurationError(self.key, "setting 'tenant_id' is not a tenant's id or domain")
        if not _AUDIENCE.fullmatch(audience):
            raise ConfigurationError(
                self.key, "setting 'audience' is not an https address with a slash at the end"
            )
        if host not in _SIGN_IN_HOSTS:
            raise ConfigurationError(self.key, "setting 'sign_in_host' is not one of Microsoft's")
        url = f"{self.base_url or f'https://{host}'}/{tenant}/oauth2/v2.0/token"
        form = {
            "grant_type": "client_credentials",
            "client_id": client,
            "client_secret": secret,
            # two slashes: the audience ends with one itself, and is compared with it
            "scope": f"{audience}/.default",
        }
        return AccessToken(lambda at: HttpRequest.post(url, form=form), provider=self.key)


def _code(response: HttpResponse) -> str:
    found = text(inner(response.json_object(), "error").get("code"))
    return found if _CODE.fullmatch(found) else ""


def _is_expired(response: HttpResponse) -> bool:
    return _code(response) not in _NOT_EXPIRED
