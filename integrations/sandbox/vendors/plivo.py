"""Plivo's Message API: JSON in, 202 with a list of ids out, signed form callbacks after it.

Errors are words: ``{"api_id","error"}``. Callbacks carry both signatures, as real ones do.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage, SandboxReply
from integrations.sandbox.vendors.base import (
    Magic,
    ReceiptPlan,
    Route,
    SandboxVendor,
    basic,
    json_reply,
    needed,
    random_hex,
    raw_of,
)
from integrations.signatures import hmac_base64
from integrations.sms_text import measure

STOP_WORDS = frozenset({"STOP", "END", "QUIT"})
START_WORDS = frozenset({"START", "UNSTOP"})
HELP_WORDS = frozenset({"HELP", "INFO"})
ATTEMPT_NAME = "a"

#: recipient -> (HTTP status, words)
_MAGIC_ERRORS: Mapping[str, tuple[int, str]] = {
    "15005550001": (400, "dst parameter is not a valid destination number"),
    "15005550003": (403, "sending to this region is not permitted"),
    "15005550012": (429, "too many requests"),
    "15005550050": (500, "internal server error"),
    "15005550090": (400, "Insufficient Credit"),
}
#: recipient -> (final status of the callback, ErrorCode)
_MAGIC_RECEIPTS: Mapping[str, tuple[str, str]] = {
    "15005550030": ("undelivered", "80"),
    "15005550031": ("undelivered", "50"),
    "15005550032": ("undelivered", "30"),
    "15005550033": ("failed", "1000"),
    "15005550034": ("failed", "420"),
}


class Plivo(SandboxVendor):
    """Texts. The message wall shows them as phones."""

    key = "plivo"
    title = "Plivo"
    channel = "sms"
    magic = (
        Magic("+15005550001", "400 bad destination number"),
        Magic("+15005550003", "403 region not permitted"),
        Magic("+15005550012", "429 throttled"),
        Magic("+15005550050", "500 server error"),
        Magic("+15005550090", "400 insufficient credit"),
        Magic("+15005550030", "accepted, then 80 out of reach"),
        Magic("+15005550031", "accepted, then 50 invalid destination"),
        Magic("+15005550032", "accepted, then 30 spam"),
        Magic("+15005550033", "accepted, then 1000 unknown"),
        Magic("+15005550034", "accepted, then 420 expired"),
    )

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/v1/Account/{auth_id}/Message/", self.create),
            Route("GET", "/v1/Account/{auth_id}/Message/{message}/", self.fetch),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "auth_id")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        auth_id = needed(settings, "auth_id")
        return [f"{auth_id} {basic(auth_id, needed(settings, 'auth_token'))}"]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        headers = {"Retry-After": f"{retry_after_s:g}"} if status == 429 else None
        words = "too many requests" if status == 429 else "internal server error"
        return _error(status, words, headers)

    # --- the API --------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST Message/."""
        account = self._account(request)
        if account is None:
            return _unauthorized()
        fields = _object(await request.read())
        problem = _problem(fields)
        if problem is not None:
            status, words = problem
            return self.refusal(status, 1.0) if status in (429, 500) else _error(status, words)
        message_id = str(uuid.uuid4())
        self.accept(lambda: self._message(account, message_id, fields, request))
        if fields.get("url"):
            self._post_statuses(account, message_id, fields)
        answer = {
            "api_id": str(uuid.uuid4()),
            "message": "message(s) queued",
            "message_uuid": [message_id],
        }
        return json_reply(answer, status=202)

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """GET Message/{uuid}/: a record without the text."""
        account = self._account(request)
        if account is None:
            return _unauthorized()
        message = self.state.message(request.match_info["message"])
        if message is None or message.account.settings != account.settings:
            return _error(404, "not found")
        state = message.receipts[-1]["kind"] if message.receipts else "queued"
        return json_reply(
            {
                "message_uuid": message.id,
                "message_state": state,
                "message_direction": "outbound",
                "from_number": message.sender.lstrip("+"),
                "to_number": message.to.lstrip("+"),
                "units": measure(message.text).parts,
                "error_code": None,
            }
        )

    def _account(self, request: web.Request) -> SandboxAccount | None:
        login = f"{request.match_info['auth_id']} {request.headers.get('Authorization', '')}"
        return self.state.find_account(self.key, login)

    def _message(
        self,
        account: SandboxAccount,
        message_id: str,
        fields: Mapping[str, Any],
        request: web.Request,
    ) -> SandboxMessage:
        callback = urlsplit(str(fields.get("url", "")))
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=message_id,
            to=f"+{fields['dst']}",
            text=fields["text"],
            sender=str(fields.get("src") or fields.get("powerpack_uuid")),
            attempt=dict(parse_qsl(callback.query)).get(ATTEMPT_NAME, ""),
            raw=raw_of(request, lambda: fields),
        )

    # --- what Plivo posts to us -----------------------------------------------------------------

    def _post_statuses(
        self, account: SandboxAccount, message_id: str, fields: Mapping[str, Any]
    ) -> None:
        callback = str(fields["url"])
        url = account.target(callback)
        if not url:
            return
        final, error = _MAGIC_RECEIPTS.get(fields["dst"], ("delivered", ""))
        if self._pair(account, fields["dst"]) in self.state.opted_out:
            # Plivo takes the message and says so afterwards
            final, error = "failed", "200"
        settings = self.state.settings
        plans = []
        for sequence, (status, code, after_ms) in enumerate(
            (("sent", "", settings.sent_after_ms), (final, error, settings.delivered_after_ms)), 2
        ):
            form = {
                "From": str(fields.get("src") or "15005550006"),
                "MessageUUID": message_id,
                "ParentMessageUUID": message_id,
                "Sequence": str(sequence),
                "Status": status,
                "To": fields["dst"],
                "Type": "sms",
                "Units": str(measure(fields["text"]).parts),
                **({"ErrorCode": code} if code else {}),
            }
            call = partial(signed_form, account, url, callback, form)
            plans.append(ReceiptPlan(status, after_ms, call))
        self.post_receipts(message_id, plans)

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        number, text = str(words.get("from", "")), str(words.get("text", ""))
        if not number:
            raise ValueError("'from' is the phone number that replies")
        to = str(words.get("to") or account.settings.get("sender") or "+15005550006")
        message_id = str(words.get("id") or uuid.uuid4())
        form = {
            "From": number.lstrip("+"),
            "MessageUUID": message_id,
            "Text": text,
            "To": to.lstrip("+"),
            "Type": "sms",
        }
        note = self._heed(account, number.lstrip("+"), text)
        reply = SandboxReply(
            vendor=self.key, id=message_id, sender=number, to=to, text=text, vendor_note=note
        )
        url = account.target(account.webhook_url)
        return reply, signed_form(account, url, account.webhook_url, form)

    def _heed(self, account: SandboxAccount, number: str, text: str) -> str:
        """Act on a keyword as Plivo does; what it tells the person."""
        word = text.rstrip().upper()
        if account.settings.get("vendor_answers_stop") == "no":
            return ""
        if word in STOP_WORDS:
            self.state.opted_out.add(self._pair(account, number))
            return "You are unsubscribed. Reply START to resubscribe."
        if word in START_WORDS:
            self.state.opted_out.discard(self._pair(account, number))
            return "You are subscribed again."
        return "Reply STOP to unsubscribe." if word in HELP_WORDS else ""

    def _pair(self, account: SandboxAccount, number: str) -> tuple[str, str, str]:
        return (self.key, self.account_name(account.settings), number)


def signed_form(
    account: SandboxAccount, url: str, public_url: str, form: Mapping[str, str]
) -> VendorCall:
    """A form posted to ``url``, signed both ways for ``public_url``, the address Plivo knows."""
    token, nonce = account.settings["auth_token"], str(int(random_hex(8), 16))
    base, _, query = public_url.partition("?")
    asked = "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(query)))
    said = "".join(name + form[name] for name in sorted(form))
    v3 = f"{base}?{asked}{'.' if asked else ''}{said}.{nonce}"
    return VendorCall(
        url,
        urlencode(form).encode(),
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "PlivoSMS",
            "X-Plivo-Signature-V2": hmac_base64(token, f"{base}{nonce}".encode()),
            "X-Plivo-Signature-V2-Nonce": nonce,
            "X-Plivo-Signature-V3": hmac_base64(token, v3.encode()),
            "X-Plivo-Signature-V3-Nonce": nonce,
        },
    )


def _problem(fields: Mapping[str, Any]) -> tuple[int, str] | None:
    """Why Plivo would refuse ``fields``: (HTTP status, words)."""
    to, text = fields.get("dst"), fields.get("text")
    if not isinstance(to, str) or not to:
        return 400, "dst parameter not present"
    if not isinstance(text, str) or not text:
        return 400, "text parameter not present"
    if bool(fields.get("src")) == bool(fields.get("powerpack_uuid")):
        return 400, "give either src or powerpack_uuid"
    if to in _MAGIC_ERRORS:
        return _MAGIC_ERRORS[to]
    if not (to.isascii() and to.isdecimal() and 5 <= len(to) <= 15):
        return 400, "dst parameter is not a valid destination number"
    length = measure(text)
    if length.units > (1600 if length.encoding == "gsm" else 737):
        return 400, "text is too long"
    if not isinstance(fields.get("log", ""), str) or fields.get("method", "POST") != "POST":
        return 400, "log or method is not valid"
    expiry = fields.get("message_expiry", 1)
    if isinstance(expiry, bool) or not isinstance(expiry, int) or expiry < 1:
        return 400, "message_expiry is not valid"
    return None


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _error(status: int, words: str, headers: Any = None) -> web.Response:
    answer = {"api_id": str(uuid.uuid4()), "error": words}
    return json_reply(answer, status=status, headers=headers)


def _unauthorized() -> web.Response:
    return web.Response(
        text="Could not verify your access level for that URL.",
        status=401,
        headers={"WWW-Authenticate": 'Basic realm="Login Required"'},
    )
