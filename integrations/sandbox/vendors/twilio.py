"""Twilio's Messages API: form in, 201 with an ``SM`` id out, signed status callbacks after it.

Errors carry Twilio's code in its envelope ``{"code","message","more_info","status"}``. The code
that counts is ``code``, not the HTTP status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

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
    random_hex,
    raw_of,
)
from integrations.sandbox.vendors.twilio_forms import (
    API_VERSION,
    POOL_NUMBER,
    consent_items,
    consent_problems,
    resource,
    segments,
    signed_form,
    status_call,
)

BODY_LIMIT = 1600
#: words that make Twilio block or unblock a number pair by itself (whole message, any case)
STOP_WORDS = frozenset(
    ["STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"]
)
START_WORDS = frozenset(["START", "UNSTOP"])
HELP_WORDS = frozenset(["HELP", "INFO"])
#: query name under which our callback URL carries the attempt
ATTEMPT_NAME = "a"

#: recipient -> (HTTP status, code, message)
_MAGIC_ERRORS: Mapping[str, tuple[int, int, str]] = {
    "+15005550001": (400, 21211, "Invalid 'To' Phone Number: +1500555XXXX"),
    "+15005550002": (400, 21612, "Message cannot be sent with the current combination"),
    "+15005550003": (403, 21408, "Permission to send an SMS has not been enabled for the region"),
    "+15005550004": (400, 21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (400, 21614, "'To' number is not a valid mobile number"),
    "+15005550012": (429, 20429, "Too Many Requests"),
    "+15005550050": (500, 20500, "Internal Server Error"),
    "+15005550053": (503, 20503, "Service Unavailable"),
}
#: recipient -> (final status of the callback, ErrorCode)
_MAGIC_RECEIPTS: Mapping[str, tuple[str, str]] = {
    "+15005550030": ("undelivered", "30003"),
    "+15005550031": ("undelivered", "30005"),
    "+15005550032": ("undelivered", "30007"),
    "+15005550033": ("failed", "30008"),
}


class Twilio(SandboxVendor):
    """Texts. The message wall shows them as phones."""

    key = "twilio"
    title = "Twilio"
    channel = "sms"
    magic = (
        Magic("+15005550001", "21211 invalid number"),
        Magic("+15005550002", "21612 not reachable"),
        Magic("+15005550003", "21408 region not enabled"),
        Magic("+15005550004", "21610 opted out"),
        Magic("+15005550009", "21614 not a mobile"),
        Magic("+15005550012", "429 / 20429 throttled"),
        Magic("+15005550050", "500 server error"),
        Magic("+15005550053", "503 / 20503 unavailable"),
        Magic("+15005550030", "accepted, then 30003 handset unreachable"),
        Magic("+15005550031", "accepted, then 30005 unknown handset"),
        Magic("+15005550032", "accepted, then 30007 filtered"),
        Magic("+15005550033", "accepted, then 30008 failed"),
    )

    def routes(self) -> Iterable[Route]:
        messages = f"/{API_VERSION}/Accounts/{{sid}}/Messages"
        return (
            Route("POST", f"{messages}.json", self.create),
            Route("GET", f"{messages}.json", self.list_messages),
            Route("GET", f"{messages}/{{message}}.json", self.fetch),
            Route("POST", "/v1/Consents/Bulk", self.take_consents),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "account_sid")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        sid = needed(settings, "account_sid")
        token = needed(settings, "auth_token")
        logins = [(sid, token)]
        if settings.get("api_key_sid"):
            logins.append((settings["api_key_sid"], needed(settings, "api_key_secret")))
        known = [basic(user, password) for user, password in logins]
        return [f"{sid} {login}" for login in known] + [f"consents {login}" for login in known]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        code, text = {
            429: (20429, "Too Many Requests"),
            503: (20503, "Service Unavailable"),
        }.get(status, (20500, "Internal Server Error"))
        headers = {"Retry-After": f"{retry_after_s:g}"} if status in (429, 503) else None
        return _error(status, code, text, headers)

    # --- the API --------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST Messages.json."""
        account = self._account(request)
        if account is None:
            return _unauthorized()
        body = await request.read()
        fields = form_of(body)
        problem = self._problem(account, fields)
        if problem is not None:
            status, code, text = problem
            if status in (429, 500, 503):
                return self.refusal(status, 1.0)
            return _error(status, code, text)
        message_id = "SM" + random_hex()
        answer = resource(account, message_id, fields)
        self.accept(lambda: self._message(account, message_id, fields, request))
        callback = fields.get("StatusCallback")
        if callback:
            self._post_statuses(account, message_id, fields, callback)
        return json_reply(answer, status=201)

    async def list_messages(self, request: web.Request) -> web.StreamResponse:
        """GET Messages.json, filtered by To, From and DateSent; newest first."""
        account = self._account(request)
        if account is None:
            return _unauthorized()
        sid = account.settings["account_sid"]
        to, sender = request.query.get("To"), request.query.get("From")
        day = request.query.get("DateSent")
        found = [
            self._look_up(message)
            for message in self.state.messages(vendor=self.key)
            if message.account.settings["account_sid"] == sid
            and (not to or message.to == to)
            and (not sender or message.sender == sender)
            and (not day or message.day == day)
        ]
        found.reverse()
        page = found[: int(request.query.get("PageSize", "50"))]
        path = request.path.removeprefix("/twilio")
        return json_reply(
            {
                "messages": page,
                "page": 0,
                "page_size": len(page),
                "start": 0,
                "end": max(len(page) - 1, 0),
                "uri": path,
                "first_page_uri": path,
                "next_page_uri": None,
                "previous_page_uri": None,
            }
        )

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """GET Messages/{sid}.json."""
        account = self._account(request)
        if account is None:
            return _unauthorized()
        message = self.state.message(request.match_info["message"])
        sid = request.match_info["sid"]
        if message is None or message.account.settings.get("account_sid") != sid:
            return _error(404, 20404, "The requested resource was not found")
        return json_reply(self._look_up(message))

    def _account(self, request: web.Request) -> SandboxAccount | None:
        login = f"{request.match_info['sid']} {request.headers.get('Authorization', '')}"
        return self.state.find_account(self.key, login)

    def _problem(
        self, account: SandboxAccount, fields: Mapping[str, str]
    ) -> tuple[int, int, str] | None:
        """Why Twilio would refuse ``fields``: (HTTP status, code, message)."""
        to = fields.get("To", "")
        if not to:
            return 400, 21604, "A 'To' phone number is required."
        if not fields.get("From") and not fields.get("MessagingServiceSid"):
            return 400, 21603, "A 'From' phone number is required."
        text = fields.get("Body", "")
        if not text and not fields.get("MediaUrl") and not fields.get("ContentSid"):
            return 400, 21602, "Message body is required."
        if len(text) > BODY_LIMIT:
            return 400, 21617, "The concatenated message body exceeds the 1600 character limit."
        if to in _MAGIC_ERRORS:
            return _MAGIC_ERRORS[to]
        if to[0] != "+" or not (8 <= len(to) <= 16) or not to[1:].isdecimal():
            return 400, 21211, f"Invalid 'To' Phone Number: {to[:4]}XXXX"
        if self.state.opted_out and self._pair(account, to) in self.state.opted_out:
            return 400, 21610, "Attempt to send to unsubscribed recipient"
        return None

    def _pair(self, account: SandboxAccount, number: str) -> tuple[str, str, str]:
        return (self.key, self.account_name(account.settings), number)

    def _message(
        self,
        account: SandboxAccount,
        message_id: str,
        fields: Mapping[str, str],
        request: web.Request,
    ) -> SandboxMessage:
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=message_id,
            to=fields["To"],
            text=fields.get("Body", ""),
            sender=fields.get("From") or fields["MessagingServiceSid"],
            attempt=_attempt(fields.get("StatusCallback", "")),
            raw=raw_of(request, lambda: fields),
        )

    def _look_up(self, message: SandboxMessage) -> dict[str, Any]:
        """The resource of an earlier message, with the status its receipts brought it to."""
        raw_fields: dict[str, str] = message.raw()["body"]
        answer = resource(message.account, message.id, raw_fields)
        answer["date_created"] = answer["date_updated"] = message.rfc2822
        if message.receipts:
            answer["status"] = message.receipts[-1]["kind"]
            answer["date_sent"] = message.rfc2822
        return answer

    async def take_consents(self, request: web.Request) -> web.StreamResponse:
        """POST Consents/Bulk: who opts out is blocked as after a STOP."""
        login = request.headers.get("Authorization", "")
        account = self.state.find_account(self.key, f"consents {login}")
        if account is None:
            return _unauthorized()
        answers = []
        for item in consent_items(await request.read()):
            words = consent_problems(account, item)
            if not words:
                pair = self._pair(account, item["contact_id"])
                blocked = self.state.opted_out
                (blocked.add if item["status"] == "opt-out" else blocked.discard)(pair)
            answers.append(
                {
                    "correlation_id": item.get("correlation_id", ""),
                    "error_code": 30646 if words else 0,
                    "error_messages": words,
                }
            )
        if not 1 <= len(answers) <= 25:
            return _error(400, 20001, "Items must hold 1 to 25 consents")
        return json_reply({"items": answers}, status=201)

    # --- what Twilio posts to us ----------------------------------------------------------------

    def _post_statuses(
        self, account: SandboxAccount, message_id: str, fields: Mapping[str, str], callback: str
    ) -> None:
        url = account.target(callback)
        if not url:
            return
        settings = self.state.settings
        final, error = _MAGIC_RECEIPTS.get(fields["To"], ("delivered", ""))
        plans = [
            ReceiptPlan(
                status,
                after_ms,
                partial(status_call, account, url, callback, message_id, fields, status, error),
            )
            for status, error, after_ms in (
                ("sent", "", settings.sent_after_ms),
                (final, error, settings.delivered_after_ms),
            )
        ]
        self.post_receipts(message_id, plans)

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        number, text = str(words.get("from", "")), str(words.get("text", ""))
        if not number:
            raise ValueError("'from' is the phone number that replies")
        keyword, note = self._heed(account, number, text)
        service = account.settings.get("messaging_service_sid", "")
        to = str(words.get("to") or account.settings.get("sender") or POOL_NUMBER)
        message_id = str(words.get("id") or "SM" + random_hex())
        fields = {
            "AccountSid": account.settings["account_sid"],
            "ApiVersion": API_VERSION,
            "Body": text,
            "From": number,
            "MessageSid": message_id,
            "NumMedia": "0",
            "NumSegments": str(segments(text)),
            "SmsMessageSid": message_id,
            "SmsSid": message_id,
            "SmsStatus": "received",
            "To": POOL_NUMBER if to.startswith("MG") else to,
        }
        if service:
            fields["MessagingServiceSid"] = service
            # only Advanced Opt-Out, which belongs to a Messaging Service, names the word
            if keyword:
                fields["OptOutType"] = keyword
        reply = SandboxReply(
            vendor=self.key,
            id=message_id,
            sender=number,
            to=fields["To"],
            text=text,
            vendor_note=note,
        )
        url = account.target(account.webhook_url)
        return reply, signed_form(account, url, account.webhook_url, fields)

    def _heed(self, account: SandboxAccount, number: str, text: str) -> tuple[str, str]:
        """Act on a keyword as Twilio does: (STOP, START, HELP or "", what it tells the person)."""
        word = text.strip().upper()
        if account.settings.get("vendor_answers_stop") == "no":
            return "", ""
        if word in STOP_WORDS:
            self.state.opted_out.add(self._pair(account, number))
            return "STOP", "You have successfully been unsubscribed. Reply START to resubscribe."
        if word in START_WORDS:
            self.state.opted_out.discard(self._pair(account, number))
            return "START", "You have successfully been re-subscribed to messages from this number."
        if word in HELP_WORDS:
            return "HELP", "Reply STOP to unsubscribe. Msg&Data Rates May Apply."
        return "", ""


def _attempt(callback: str) -> str:
    return dict(parse_qsl(urlsplit(callback).query)).get(ATTEMPT_NAME, "")


def _error(status: int, code: int, text: str, headers: Any = None) -> web.Response:
    return json_reply(
        {
            "code": code,
            "message": text,
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "status": status,
        },
        status=status,
        headers=headers,
    )


def _unauthorized() -> web.Response:
    return _error(401, 20003, "Authenticate")
