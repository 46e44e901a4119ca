"""SignalWire's compatibility API: Twilio's form in, 201 with a UUID out, signed callbacks after it.

It acts on no opt-out word, signs with a key of its own and wants cXML for an answer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
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
    form_of,
    json_reply,
    needed,
    raw_of,
    rfc2822_now,
)
from integrations.sms_text import measure

BODY_LIMIT = 1600
ATTEMPT_NAME = "a"
POOL_NUMBER = "+15005550006"

#: recipient -> (HTTP status, code, message)
_MAGIC_ERRORS: Mapping[str, tuple[int, int, str]] = {
    "+15005550001": (400, 21211, "The 'To' number is not a valid phone number"),
    "+15005550004": (400, 21610, "Message cannot be sent to an unsubscribed recipient"),
    "+15005550009": (400, 21614, "'To' number is not a valid mobile number"),
    "+15005550011": (400, 21611, "This 'From' number has exceeded the maximum queued messages"),
    "+15005550012": (429, 20429, "Too Many Requests"),
    "+15005550017": (400, 21717, "The 'From' number is not assigned to an approved campaign"),
    "+15005550050": (500, 20001, "Internal Server Error"),
}
#: recipient -> (final status of the callback, ErrorCode)
_MAGIC_RECEIPTS: Mapping[str, tuple[str, str]] = {
    "+15005550030": ("undelivered", "30003"),
    "+15005550031": ("undelivered", "30005"),
    "+15005550032": ("undelivered", "30007"),
    "+15005550033": ("failed", "30008"),
    "+15005550034": ("failed", "30001"),
}


class SignalWire(SandboxVendor):
    """Texts. The message wall shows them as phones."""

    key = "signalwire"
    title = "SignalWire"
    channel = "sms"
    magic = (
        Magic("+15005550001", "21211 invalid number"),
        Magic("+15005550004", "21610 opted out"),
        Magic("+15005550009", "21614 not a mobile"),
        Magic("+15005550011", "21611 queue full"),
        Magic("+15005550012", "429 / 20429 throttled"),
        Magic("+15005550017", "21717 no campaign"),
        Magic("+15005550050", "500 server error"),
        Magic("+15005550030", "accepted, then 30003 out of reach"),
        Magic("+15005550031", "accepted, then 30005 unknown handset"),
        Magic("+15005550032", "accepted, then 30007 filtered"),
        Magic("+15005550033", "accepted, then 30008 failed"),
        Magic("+15005550034", "accepted, then 30001 expired"),
    )

    def routes(self) -> Iterable[Route]:
        messages = "/api/laml/2010-04-01/Accounts/{project}/Messages"
        return (
            Route("POST", messages, self.create),
            Route("GET", messages, self.list_messages),
            Route("GET", f"{messages}/{{message}}", self.fetch),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "project_id")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        project = needed(settings, "project_id")
        return [f"{project} {basic(project, needed(settings, 'api_token'))}"]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        if status == 429:
            headers = {"Retry-After": f"{retry_after_s:g}"}
            return _error(429, 20429, "Too Many Requests", headers)
        return _error(status, 20001, "Internal Server Error")

    # --- the API --------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST Messages."""
        account = self._account(request)
        if account is None:
            return _unauthorized()
        fields = form_of(await request.read())
        problem = _problem(fields)
        if problem is not None:
            status, code, words = problem
            return self.refusal(status, 1.0) if status == 429 else _error(status, code, words)
        message_id = str(uuid.uuid4())
        self.accept(lambda: self._message(account, message_id, fields, request))
        if fields.get("StatusCallback"):
            self._post_statuses(account, message_id, fields)
        return json_reply(_resource(account, message_id, fields), status=201)

    async def list_messages(self, request: web.Request) -> web.StreamResponse:
        """GET Messages, filtered by To; newest first."""
        account = self._account(request)
        if account is None:
            return _unauthorized()
        to = request.query.get("To")
        found = [
            _resource(account, message.id, message.raw()["body"], message)
            for message in self.state.messages(vendor=self.key)
            if message.account.settings == account.settings and (not to or message.to == to)
        ]
        found.reverse()
        page = found[: int(request.query.get("PageSize", "50"))]
        return json_reply({"messages": page, "page": 0, "page_size": len(page)})

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """GET Messages/{sid}."""
        account = self._account(request)
        if account is None:
            return _unauthorized()
        message = self.state.message(request.match_info["message"])
        if message is None or message.account.settings != account.settings:
            return _error(404, 20404, "The requested resource was not found")
        return json_reply(_resource(account, message.id, message.raw()["body"], message))

    def _account(self, request: web.Request) -> SandboxAccount | None:
        login = f"{request.match_info['project']} {request.headers.get('Authorization', '')}"
        return self.state.find_account(self.key, login)

    def _message(
        self,
        account: SandboxAccount,
        message_id: str,
        fields: Mapping[str, str],
        request: web.Request,
    ) -> SandboxMessage:
        callback = urlsplit(fields.get("StatusCallback", ""))
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=message_id,
            to=fields["To"],
            text=fields["Body"],
            sender=fields.get("From") or fields["MessagingServiceSid"],
            attempt=dict(parse_qsl(callback.query)).get(ATTEMPT_NAME, ""),
            raw=raw_of(request, lambda: fields),
        )

    # --- what SignalWire posts to us ------------------------------------------------------------

    def _post_statuses(
        self, account: SandboxAccount, message_id: str, fields: Mapping[str, str]
    ) -> None:
        callback = fields["StatusCallback"]
        url = account.target(callback)
        if not url or not account.settings.get("signing_key"):
            return
        settings = self.state.settings
        final, error = _MAGIC_RECEIPTS.get(fields["To"], ("delivered", ""))
        plans = []
        for status, code, after_ms in (
            ("sent", "", settings.sent_after_ms),
            (final, error, settings.delivered_after_ms),
        ):
            form = {
                "AccountSid": account.settings["project_id"],
                "Body": fields["Body"],
                "From": fields.get("From") or POOL_NUMBER,
                "MessageSid": message_id,
                "MessageStatus": status,
                "NumMedia": "0",
                "NumSegments": str(measure(fields["Body"]).parts),
                "To": fields["To"],
                **({"ErrorCode": code} if code else {}),
            }
            plans.append(
                ReceiptPlan(status, after_ms, partial(signed_form, account, url, callback, form))
            )
        self.post_receipts(message_id, plans)

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        number, text = str(words.get("from", "")), str(words.get("text", ""))
        if not number:
            raise ValueError("'from' is the phone number that replies")
        to = str(words.get("to") or account.settings.get("sender") or POOL_NUMBER)
        message_id = str(words.get("id") or uuid.uuid4())
        form = {
            "AccountSid": account.settings["project_id"],
            "Body": text,
            "From": number,
            "MessageSid": message_id,
            "NumMedia": "0",
            "To": to,
        }
        reply = SandboxReply(vendor=self.key, id=message_id, sender=number, to=to, text=text)
        url = account.target(account.webhook_url)
        return reply, signed_form(account, url, account.webhook_url, form)


def signed_form(
    account: SandboxAccount, url: str, public_url: str, form: Mapping[str, str]
) -> VendorCall:
    """A form posted to ``url`` and signed for ``public_url``, the address SignalWire knows."""
    key = needed(account.settings, "signing_key")
    signed = public_url + "".join(name + form[name] for name in sorted(form))
    digest = hmac.new(key.encode(), signed.encode(), hashlib.sha1).digest()
    return VendorCall(
        url,
        urlencode(form).encode(),
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "SignalWire",
            "X-SignalWire-Signature": base64.b64encode(digest).decode("ascii"),
        },
    )


def _problem(fields: Mapping[str, str]) -> tuple[int, int, str] | None:
    """Why SignalWire would refuse ``fields``: (HTTP status, code, message)."""
    to, text = fields.get("To", ""), fields.get("Body", "")
    if not to:
        return 400, 21604, "A 'To' phone number is required."
    if not fields.get("From") and not fields.get("MessagingServiceSid"):
        return 400, 21212, "A 'From' phone number is required."
    if not text:
        return 400, 21602, "Message body is required."
    if len(text) > BODY_LIMIT:
        return 400, 21617, "The message body exceeds the 1600 character limit."
    if to in _MAGIC_ERRORS:
        return _MAGIC_ERRORS[to]
    if to[0] != "+" or not (8 <= len(to) <= 16) or not to[1:].isdecimal():
        return 400, 21211, "The 'To' number is not a valid phone number"
    validity = fields.get("ValidityPeriod", "14400")
    if not validity.isdecimal() or not 1 <= int(validity) <= 172_800:
        return 422, 20010, "ValidityPeriod must be between 1 and 172800"
    return None


def _resource(
    account: SandboxAccount,
    message_id: str,
    fields: Mapping[str, str],
    message: SandboxMessage | None = None,
) -> dict[str, Any]:
    """The message resource, with the status its receipts brought it to."""
    project = account.settings["project_id"]
    now = message.rfc2822 if message else rfc2822_now()
    has_news = message is not None and bool(message.receipts)
    return {
        "account_sid": project,
        "api_version": "2010-04-01",
        "body": fields["Body"],
        "num_segments": measure(fields["Body"]).parts,
        "num_media": 0,
        "date_created": now,
        "date_sent": now if has_news else None,
        "date_updated": now,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": fields.get("From"),
        "price": None,
        "price_unit": "USD",
        "sid": message_id,
        "status": message.receipts[-1]["kind"] if message and has_news else "queued",
        "to": fields["To"],
        "messaging_service_sid": fields.get("MessagingServiceSid"),
        "uri": f"/api/laml/2010-04-01/Accounts/{project}/Messages/{message_id}",
        "subresource_uris": {
            "media": f"/api/laml/2010-04-01/Accounts/{project}/Messages/{message_id}/Media"
        },
    }


def _error(status: int, code: int, text: str, headers: Any = None) -> web.Response:
    return json_reply(
        {
            "code": code,
            "message": text,
            "more_info": "https://developer.signalwire.com/compatibility-api/rest/error-codes",
            "status": status,
        },
        status=status,
        headers=headers,
    )


def _unauthorized() -> web.Response:
    return _error(401, 20003, "Unauthorized")
