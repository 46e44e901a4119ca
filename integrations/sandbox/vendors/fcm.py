"""Firebase Cloud Messaging: a token for a signed statement, then messages for the token."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from integrations.sandbox.state import SandboxAccount, SandboxMessage
from integrations.sandbox.vendors.base import (
    Magic,
    Route,
    SandboxVendor,
    form_of,
    json_reply,
    needed,
    random_hex,
    raw_of,
)

AUDIENCE = "https://oauth2.googleapis.com/token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_LIFE_S = 3599
PAYLOAD_LIMIT = 4096
ADDRESSES = ("fid", "token", "topic", "condition")
#: everything a message may hold; FCM refuses what it does not know
_FIELDS = frozenset(
    {"name", "data", "notification", "android", "apns", "webpush", "fcmOptions", *ADDRESSES}
)
_TTL = re.compile(r"\d{1,7}(\.\d+)?s")
_RESERVED = re.compile(r"from|message_type|(google|gcm).*")
#: address -> (HTTP status, status, errorCode)
_MAGIC: Mapping[str, tuple[int, str, str]] = {
    "gone": (404, "NOT_FOUND", "UNREGISTERED"),
    "other-project": (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    "apns-key": (401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
    "quota": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    "internal": (500, "INTERNAL", "INTERNAL"),
    "down": (503, "UNAVAILABLE", "UNAVAILABLE"),
}


class Fcm(SandboxVendor):
    """App notifications."""

    key = "fcm"
    title = "Firebase Cloud Messaging"
    channel = "push"
    magic = (
        *(Magic(f"token:{to}", f"{status} {code}") for to, (status, _, code) in _MAGIC.items()),
        Magic("token:invalid", "400 not a registration token"),
    )

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/token", self.give_token),
            Route("POST", "/v1/projects/{project}/messages:send", self.create),
        )

    def control_routes(self) -> Iterable[Route]:
        return (Route("DELETE", "/tokens", self.end_tokens),)

    def account_name(self, settings: Mapping[str, str]) -> str:
        return str(_key_file(settings)["project_id"])

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        return [str(_key_file(settings)["client_email"])]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        word = {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}.get(status, "INTERNAL")
        headers = {"Retry-After": f"{retry_after_s:g}"} if status in (429, 503) else None
        return _error(status, word, "Try again later", headers=headers)

    async def give_token(self, request: web.Request) -> web.StreamResponse:
        """POST a signed statement, get an access token."""
        form = form_of(await request.read())
        try:
            assertion = form["assertion"]
            said = jwt.decode(assertion, options={"verify_signature": False})
            account = self.state.find_account(self.key, str(said["iss"]))
            if form.get("grant_type") != GRANT or account is None:
                raise ValueError("unknown grant or account")
            info = _key_file(account.settings)
            public = load_pem_private_key(info["private_key"].encode(), None).public_key()
            jwt.decode(assertion, public, algorithms=["RS256"], audience=AUDIENCE)  # type: ignore[arg-type]
            if jwt.get_unverified_header(assertion).get("kid") != info["private_key_id"]:
                raise ValueError("unknown key")
        except (KeyError, ValueError, jwt.PyJWTError):
            problem = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            return json_reply(problem, status=400)
        token = "ya29." + random_hex(24)
        self.state.resources[self.key, "token", token] = {
            "email": said["iss"],
            "until": time.time() + TOKEN_LIFE_S,
        }
        return json_reply(
            {"access_token": token, "expires_in": TOKEN_LIFE_S, "token_type": "Bearer"}
        )

    async def end_tokens(self, request: web.Request) -> web.StreamResponse:
        """End every token at once, as a revoked one would."""
        resources = self.state.resources
        for place in [p for p in resources if p[:2] == (self.key, "token")]:
            del resources[place]
        return json_reply({})

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST one message."""
        account = self._account(request)
        if account is None:
            return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        project = self.account_name(account.settings)
        if request.match_info["project"] != project:
            return _error(403, "PERMISSION_DENIED", "Permission denied on this project")
        try:
            payload = json.loads(await request.read())
            refused = _refusal_of(payload)
        except (ValueError, TypeError, AttributeError, KeyError):
            return _error(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        if refused is not None:
            return refused
        message_id = f"projects/{project}/messages/{random_hex(8)}"
        self.accept(lambda: self._message(account, message_id, payload["message"], request))
        return json_reply({"name": message_id})

    def _account(self, request: web.Request) -> SandboxAccount | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        known = self.state.resources.get((self.key, "token", token))
        if known is None or known["until"] < time.time():
            return None
        return self.state.find_account(self.key, known["email"])

    def _message(
        self,
        account: SandboxAccount,
        message_id: str,
        message: Mapping[str, Any],
        request: web.Request,
    ) -> SandboxMessage:
        shown, data = message.get("notification", {}), message.get("data", {})
        kind = next(name for name in ADDRESSES if message.get(name))
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=message_id,
            to=f"{kind}:{message[kind]}",
            text=shown.get("body", ""),
            subject=shown.get("title", ""),
            order_number=data.get("order_number", ""),
            attempt=data.get("attempt_id", ""),
            raw=raw_of(request, lambda: {"message": message}),
            extra={"data": dict(data)},
        )


def _key_file(settings: Mapping[str, str]) -> dict[str, Any]:
    try:
        info = json.loads(needed(settings, "service_account"))
        names = ("project_id", "client_email", "private_key", "private_key_id")
        return {name: str(info[name]) for name in names}
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError("'service_account' is not a key file") from error


def _refusal_of(payload: Mapping[str, Any]) -> web.Response | None:
    """What FCM would refuse."""
    message = payload["message"]
    unknown = sorted(set(message) - _FIELDS)
    if unknown:
        return _error(400, "INVALID_ARGUMENT", f'Unknown name "{unknown[0]}" at message')
    given = [name for name in ADDRESSES if message.get(name)]
    if len(given) != 1:
        return _error(400, "INVALID_ARGUMENT", "Exactly one recipient is needed", "")
    to = str(message[given[0]])
    if to == "invalid":
        words = "The registration token is not a valid FCM registration token"
        return _error(400, "INVALID_ARGUMENT", words, "INVALID_ARGUMENT")
    if to in _MAGIC:
        status, word, code = _MAGIC[to]
        headers = {"Retry-After": "30"} if status in (429, 503) else None
        return _error(status, word, "magic", code, headers=headers)
    data, shown = message.get("data", {}), message.get("notification", {})
    if not all(isinstance(value, str) for value in data.values()):
        return _error(400, "INVALID_ARGUMENT", "data values must be strings", "INVALID_ARGUMENT")
    if any(_RESERVED.fullmatch(name) for name in data):
        return _error(400, "INVALID_ARGUMENT", "data has a reserved key", "INVALID_ARGUMENT")
    if not _TTL.fullmatch(message.get("android", {}).get("ttl", "0s")):
        return _error(400, "INVALID_ARGUMENT", "android.ttl is no duration", "INVALID_ARGUMENT")
    size = sum(len(f"{k}{v}".encode()) for part in (data, shown) for k, v in part.items())
    if size > PAYLOAD_LIMIT:
        return _error(400, "INVALID_ARGUMENT", "Message is too big")
    return None


def _error(
    status: int, word: str, words: str, code: str = "", *, headers: Any = None
) -> web.Response:
    error: dict[str, Any] = {"code": status, "message": words, "status": word}
    if code:
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        error["details"] = [{"@type": kind, "errorCode": code}]
    return json_reply({"error": error}, status=status, headers=headers)
