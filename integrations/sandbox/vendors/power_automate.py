"""Power Automate: flows that start by a POST, tokens of a tenant, and flows that call us."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage, iso
from integrations.sandbox.vendors.base import (
    TRIAL_ITEMS,
    TRIAL_MAIL,
    TRIAL_NAME,
    TRIAL_PHONE,
    Magic,
    ReceiptPlan,
    Route,
    SandboxVendor,
    Trial,
    form_of,
    json_reply,
    needed,
    random_hex,
    raw_of,
)

TOKEN_LIFE_S = 3599
AUDIENCE = "https://service.flow.microsoft.com/"
#: last letters of a workflow's id -> (status, code) it always answers
_MAGIC: Mapping[str, tuple[int, str]] = {
    "-off": (400, "WorkflowTriggerIsNotEnabled"),
    "-schema": (400, "TriggerInputSchemaMismatch"),
    "-forbidden": (403, "Forbidden"),
    "-large": (413, "RequestEntityTooLarge"),
}
#: taken, then answered like this because of the flow's Response action
_RUNNING: Mapping[str, int] = {"-silent": 502, "-late": 504, "-answers": 200}
_PATH = "/{path:.*/?workflows/[^/]+/triggers/.+}"


class PowerAutomate(SandboxVendor):
    """Automation. The wall shows each run of a flow with what it was given."""

    key = "power_automate"
    title = "Microsoft Power Automate"
    channel = "automation"
    magic = (
        *(Magic(f"…/workflows/…{end}/…", f"{s} {code}") for end, (s, code) in _MAGIC.items()),
        Magic("…/workflows/…-silent/…", "runs, then 502 NoResponse"),
        Magic("…/workflows/…-late/…", "runs, then 504"),
        Magic("…/workflows/…-answers/…", "runs and answers 200"),
    )

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/{tenant}/oauth2/v2.0/token", self.give_token),
            Route("POST", _PATH, self.start),
        )

    def control_routes(self) -> Iterable[Route]:
        return (Route("DELETE", "/tokens", self.end_tokens),)

    def account_name(self, settings: Mapping[str, str]) -> str:
        if "trigger_url" not in settings:
            return f"a flow with the key …{needed(settings, 'secret')[-4:]}"
        return _workflow(urlsplit(settings["trigger_url"]).path)

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        if "trigger_url" not in settings:
            return []  # a flow that calls us
        parts = urlsplit(settings["trigger_url"])
        workflow, sig = _workflow(parts.path), parse_qs(parts.query).get("sig", [""])[0]
        if sig:
            return [workflow, f"{workflow} {sig}"]
        client = f"{needed(settings, 'tenant_id')} {needed(settings, 'client_id')}"
        return [workflow, client]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        if status == 429:
            headers = {"Retry-After": f"{retry_after_s:g}"}
            return _error(429, "WorkflowRunInProgressLimitExceeded", headers)
        return _error(status, "BadGateway" if status == 502 else "InternalServerError")

    # --- tokens -----------------------------------------------------------------------------------

    async def give_token(self, request: web.Request) -> web.StreamResponse:
        """POST the app registration's secret, get an access token."""
        form, tenant = form_of(await request.read()), request.match_info["tenant"]
        account = self.state.find_account(self.key, f"{tenant} {form.get('client_id', '')}")
        if form.get("grant_type") != "client_credentials":
            return _no_token(400, "unsupported_grant_type", "AADSTS70003")
        if account is None:
            return _no_token(400, "unauthorized_client", "AADSTS700016")
        if form.get("client_secret") != account.settings.get("client_secret"):
            return _no_token(401, "invalid_client", "AADSTS7000215")
        scope = form.get("scope", "")
        if not scope.endswith("/.default"):
            return _no_token(400, "invalid_scope", "AADSTS1002012")
        token = "eyJ0eXAi." + random_hex(24)
        self.state.resources[self.key, "token", token] = {
            # what stands in front of "/.default" is the audience, its own slash included or not
            "aud": scope.removesuffix("/.default"),
            "tid": tenant,
            "until": time.time() + TOKEN_LIFE_S,
        }
        answer = {"token_type": "Bearer", "expires_in": TOKEN_LIFE_S, "access_token": token}
        return json_reply(answer)

    async def end_tokens(self, request: web.Request) -> web.StreamResponse:
        """End every token at once."""
        resources = self.state.resources
        for place in [p for p in resources if p[:2] == (self.key, "token")]:
            del resources[place]
        return json_reply({})

    # --- runs -------------------------------------------------------------------------------------

    async def start(self, request: web.Request) -> web.StreamResponse:
        """POST an event to a flow."""
        workflow = _workflow(request.path)
        account = self.state.find_account(self.key, workflow)
        if account is None:
            return _error(404, "WorkflowNotFound")
        if refused := self._not_let_in(account, workflow, request):
            return _error(*refused)
        for ending, (status, code) in _MAGIC.items():
            if workflow.endswith(ending):
                return _error(status, code)
        event = _object(await request.read())
        if event is None or request.content_type != "application/json" or not _fits(event):
            return _error(400, "TriggerInputSchemaMismatch")
        run = f"0858{random_hex(10).upper()}CU00"
        self.accept(lambda: self._message(account, run, event, request))
        self._tell_the_end(account, run, event)
        headers = {"x-ms-workflow-run-id": run, "x-ms-request-id": random_hex(8)}
        status = next((s for end, s in _RUNNING.items() if workflow.endswith(end)), 202)
        if status == 200:
            return json_reply({"noted": True}, headers=headers)
        if status == 502:
            return _error(502, "NoResponse", headers)
        return web.Response(status=status, headers=headers)

    def _tell_the_end(self, account: SandboxAccount, run: str, event: Mapping[str, Any]) -> None:
        """The last action of a flow whose author knows our key."""
        key, attempt = account.settings.get("flow_key"), event.get("attempt_id")
        if not key or not account.webhook_url or not isinstance(attempt, str):
            return

        def call() -> VendorCall:
            body = json.dumps({"attempt_id": attempt, "kind": "delivered"}).encode()
            headers = {"Content-Type": "application/json", "X-Order-Up-Key": key}
            return VendorCall(account.target(account.webhook_url), body, headers)

        after_ms = self.state.settings.delivered_after_ms
        self.post_receipts(run, [ReceiptPlan("delivered", after_ms, call)])

    def _not_let_in(
        self, account: SandboxAccount, workflow: str, request: web.Request
    ) -> tuple[int, str] | None:
        """The refusal of a caller who has neither the signature nor the right token."""
        if sig := request.query.get("sig"):
            is_right = self.state.find_account(self.key, f"{workflow} {sig}") is not None
            return None if is_right else (401, "DirectApiAuthorizationRequired")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return 401, "DirectApiAuthorizationRequired"
        known = self.state.resources.get((self.key, "token", token))
        if known is None or known["until"] < time.time():
            return 401, "ExpiredAuthenticationToken"
        wanted = (AUDIENCE, account.settings.get("tenant_id"))
        if (known["aud"], known["tid"]) != wanted:
            return 401, "MisMatchingOAuthClaims"
        return None

    def _message(
        self, account: SandboxAccount, run: str, event: Mapping[str, Any], request: web.Request
    ) -> SandboxMessage:
        order = event["order"]
        number, status = str(order["number"]), str(order["status"])
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=run,
            to=self.account_name(account.settings),
            text=f"Order {number}: {status}" if number else str(event["event_type"]),
            subject=str(event["event_type"]),
            order_number=number,
            raw=_without_query(raw_of(request, lambda: event)),
            extra={"event": dict(event), "run": run},
        )

    # --- flows that call us -----------------------------------------------------------------------

    def event(self, account: SandboxAccount, wanted: Mapping[str, Any]) -> VendorCall:
        """A flow's HTTP action: ``payload`` as it is, or a record ``order_id`` with ``status``.

        ``change`` (default updated), ``modified_at`` (default now) and ``data`` for more members.
        """
        payload = wanted.get("payload")
        if payload is None:
            record = str(wanted.get("order_id") or "")
            if not record:
                raise ValueError("'order_id' says which record the flow is about")
            payload = {
                "change": str(wanted.get("change", "updated")),
                "record_id": record,
                "record_type": "order",
                "status": wanted.get("status", "Ready"),
                "modified_at": str(wanted.get("modified_at") or iso(time.time())),
                **wanted.get("data", {}),
            }
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {needed(account.settings, 'secret')}",
            "x-ms-workflow-run-id": str(wanted.get("run") or f"0858{random_hex(10).upper()}CU00"),
        }
        body = json.dumps(payload, separators=(",", ":")).encode()
        return VendorCall(account.target(account.webhook_url), body, headers)

    def trial(self, account: SandboxAccount, order: Trial) -> Mapping[str, Any]:
        """A new record."""
        data = {
            "number": order.number,
            "items": [{"name": name, "quantity": 1} for name in TRIAL_ITEMS],
            "customer": {
                "name": " ".join(TRIAL_NAME),
                "phone": TRIAL_PHONE,
                "email": TRIAL_MAIL,
            },
            **({"location": order.location_id} if order.location_id else {}),
        }
        return {
            "order_id": order.id,
            "change": "created",
            "status": "New",
            "modified_at": order.time(),
            "data": data,
        }


def _workflow(path: str) -> str:
    """The id in ``.../workflows/{id}/triggers/...``. Raises ValueError for another path."""
    parts = path.split("/")
    if "workflows" not in parts[:-1]:
        raise ValueError("'trigger_url' is not the URL of a flow")
    return parts[parts.index("workflows") + 1]


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _fits(event: Mapping[str, Any]) -> bool:
    """Whether the flow's own copy of the schema takes it: texts where it says text, no null."""
    texts = ("schema_version", "event_id", "event_type", "occurred_at")
    restaurant, order = event.get("restaurant"), event.get("order")
    if not isinstance(restaurant, dict) or not isinstance(order, dict):
        return False
    if not all(isinstance(event.get(name), str) for name in texts):
        return False
    if not all(isinstance(order.get(n), str) for n in ("id", "number", "source", "status")):
        return False
    parts, changes = order.get("parts", []), event.get("changes", [])
    rest = [restaurant, {k: v for k, v in order.items() if k != "parts"}, *parts, *changes]
    return (
        all(isinstance(restaurant.get(name), str) for name in ("id", "name"))
        and all(part.keys() >= {"id", "name", "status"} for part in parts)
        and all("field" in change for change in changes)
        and all(isinstance(value, str) for each in rest for value in each.values())
        and isinstance(event.get("test", False), bool)
    )


def _without_query(raw: Any) -> Any:
    """The raw request without the signature in its query."""

    def shown() -> dict[str, Any]:
        request: dict[str, Any] = raw()
        return {**request, "path": request["path"].partition("?")[0] + "?…"}

    return shown


def _error(status: int, code: str, headers: Any = None) -> web.Response:
    answer = {"error": {"code": code, "message": "The request was refused."}}
    return json_reply(answer, status=status, headers=headers)


def _no_token(status: int, error: str, code: str) -> web.Response:
    return json_reply({"error": error, "error_description": f"{code}: refused."}, status=status)
