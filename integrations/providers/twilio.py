"""Text messages through Twilio. Vendor facts and their pages are in twilio.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn
from urllib.parse import urlencode, urlsplit

from twilio.rest import Client

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
    ReceiptKind,
    Reply,
    Setting,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from integrations.providers import twilio_consents as consents
from integrations.providers.twilio_codes import CONFIGURATION, FAULTS, VALIDITY_EXPIRED
from integrations.providers.twilio_signature import Form, verified_form
from integrations.sms_text import normalize

_KINDS: Mapping[str, ReceiptKind] = {
    "sent": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.READ,
    "undelivered": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
    "canceled": ReceiptKind.FAILED,
}
_INTENTS: Mapping[str, str] = {
    "order_updates": "delivery",
    "marketing": "marketing",
    "feedback": "customercare",
    "service_reply": "customercare",
    "security": "security",
}
#: words Twilio acts on and answers itself on a plain long code
_VENDOR_WORDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"), "stop"
    ),
    **dict.fromkeys(("START", "UNSTOP"), "start"),
    **dict.fromkeys(("HELP", "INFO"), "help"),
}
#: seconds, Twilio's longest ValidityPeriod
_LONGEST_QUEUE_S = 36000


class _Captured(Exception):
    """Carries what the SDK was about to send; it goes out through our own door."""

    def __init__(self, url: str, form: Mapping[str, Any], auth: tuple[str, str]) -> None:
        super().__init__("captured")
        self.url, self.form, self.auth = url, form, auth


class _CapturingClient:
    """Stands where the SDK expects an HTTP client; sends nothing."""

    is_async = False

    def request(
        self, method: str, url: str, *, data: Any = None, auth: Any = None, **_: Any
    ) -> NoReturn:
        raise _Captured(url, data, auth)


class Twilio(Provider):
    """SMS by Twilio's Messages resource.

    The form is built by the SDK's own resource code (about 12 us a message) and captured before
    it would leave; sending is ours. Signatures of incoming calls are checked by the SDK too.
    """

    key = "twilio"
    channel = Channel.SMS
    title = "Twilio"
    live_base_url = "https://api.twilio.com"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "account_sid",
            label="Account SID",
            help="AC and 32 hexadecimal digits",
            example="AC00000000000000000000000000000001",
        ),
        Setting(
            "auth_token",
            label="Auth token",
            secret=True,
            help="also verifies webhooks",
            example="0123456789abcdef0123456789abcdef",
        ),
        Setting("api_key_sid", label="API key SID", required=False, help="SK...; used to send"),
        Setting("api_key_secret", label="API key secret", secret=True, required=False),
        Setting(
            "messaging_service_sid",
            label="Messaging service SID",
            required=False,
            help="MG...; or give a sender",
        ),
        Setting(
            "sender",
            label="Sender",
            required=False,
            help="+E.164, if no messaging service",
            example="+12025550100",
        ),
        Setting(
            "webhook_shared_key",
            label="Webhook shared key",
            secret=True,
            required=False,
            help="only if Twilio signs webhooks with a shared key",
        ),
        Setting(
            "previous_auth_token",
            label="Previous auth token or shared key",
            secret=True,
            required=False,
            help="while rotating: webhooks signed with it are believed too, until you remove it",
        ),
        Setting(
            "tells_consents",
            label="Tell Twilio's Consents API of choices",
            required=False,
            default="no",
            choices=("no", "yes"),
            help="'yes' only where Twilio has let the account into the pilot",
        ),
        Setting(
            "vendor_answers_stop",
            label="Twilio answers STOP itself",
            required=False,
            default="yes",
            choices=("yes", "no"),
            help="'no' only where default keyword handling is switched off",
        ),
    )
    capabilities = Capabilities(
        receipts=True, replies=True, look_up=True, max_chars=1600, rate_per_s=0.0
    )

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        if not (account.get("messaging_service_sid") or account.get("sender")):
            raise ConfigurationError(
                self.key, "setting 'messaging_service_sid' or 'sender' is missing"
            )
        if bool(account.get("api_key_sid")) != bool(account.get("api_key_secret")):
            raise ConfigurationError(
                self.key, "settings 'api_key_sid' and 'api_key_secret' belong together"
            )
        self._auth = (
            account.get("api_key_sid") or account["account_sid"],
            account.get("api_key_secret") or account["auth_token"],
        )
        self._messages = Client(
            *self._auth, account_sid=account["account_sid"], http_client=_CapturingClient()
        ).messages

    def request(self, message: Message) -> HttpRequest:
        """POST Messages.json. Raises MessageRejected for a text Twilio would refuse (21617)."""
        text = normalize(message.text)
        if not text.strip() or len(text) > self.capabilities.max_chars:
            raise MessageRejected(
                self.key, detail=f"{len(text)} characters; 1 to {self.capabilities.max_chars} fit"
            )
        fields: dict[str, Any] = {
            "to": message.to,
            "body": text,
            "validity_period": max(1, min(message.valid_for_s, _LONGEST_QUEUE_S)),
            "message_intent": _INTENTS.get(message.purpose, "notifications"),
        }
        if message.callback_url:
            fields["status_callback"] = message.callback_url
        if self.account.get("messaging_service_sid"):
            fields["messaging_service_sid"] = self.account["messaging_service_sid"]
        else:
            fields["from_"] = self.account["sender"]
        try:
            self._messages.create(**fields)
        except _Captured as captured:
            return HttpRequest.post(
                self.base_url + urlsplit(captured.url).path,
                form={name: str(value) for name, value in captured.form.items()},
                auth=captured.auth,
                headers={"Accept": "application/json"},
            )
        raise AssertionError("the SDK no longer sends through its http_client")

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Read a create answer: the vendor's code decides, then the HTTP status."""
        answer = response.json_object()
        created = 200 <= response.status < 300
        code = _code(answer.get("error_code" if created else "code"))
        if code:
            self._raise_for_code(code, response)
        self.raise_for_status(response, vendor_code=code)
        if not answer.get("sid"):
            raise OutcomeUnknown(self.key, response, detail="no message id in the answer")
        segments = str(answer.get("num_segments") or "0")
        return Accepted(
            vendor_id=str(answer["sid"]),
            segments=int(segments) if segments.isdecimal() else 0,
            detail=str(answer.get("status") or ""),
        )

    def look_up(self, message: Message) -> HttpRequest:
        """The newest messages to this number; :meth:`looked_up` reads the answer."""
        query = urlencode({"To": message.to, "PageSize": "20"})
        return HttpRequest.get(
            f"{self.base_url}/2010-04-01/Accounts/{self.account['account_sid']}"
            f"/Messages.json?{query}",
            auth=self._auth,
            headers={"Accept": "application/json"},
        )

    def looked_up(self, message: Message, response: HttpResponse) -> Accepted | None:
        """Whether ``message`` is in the answer to ``look_up``; None = Twilio never got it.

        Matched by its text, so it presumes that no two messages to one number read the same.
        Raises OutcomeUnknown when the answer cannot tell.
        """
        listed = response.json_object().get("messages")
        if response.status != 200 or not isinstance(listed, list):
            raise OutcomeUnknown(self.key, response, detail="the list of messages is unreadable")
        text = normalize(message.text)
        for found in listed:
            if isinstance(found, dict) and found.get("body") == text and found.get("sid"):
                return Accepted(vendor_id=str(found["sid"]), detail=str(found.get("status") or ""))
        return None

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """One status callback; statuses before ``sent`` say nothing new and are skipped."""
        form = self._verified(call)
        status = form.first("MessageStatus")
        kind = _KINDS.get(status)
        if kind is None:
            return []
        code = form.first("ErrorCode")
        if code in ("0", "None"):
            code = ""
        if code == VALIDITY_EXPIRED:
            kind = ReceiptKind.EXPIRED
        return [
            Receipt(
                kind=kind,
                vendor_id=form.first("MessageSid"),
                attempt_id=call.query.get("a", ""),
                vendor_code=code or ("canceled" if status == "canceled" else ""),
                error=_error_word(code) if kind is ReceiptKind.FAILED else "",
                recipient=form.first("To"),
            )
        ]

    def replies(self, call: InboundCall) -> list[Reply]:
        """One inbound message, and whether Twilio already acted on its word and answered."""
        form = self._verified(call)
        if "Body" not in form or "MessageStatus" in form or not form.first("From"):
            return []
        text = form.first("Body")
        handled = form.first("OptOutType").lower()
        if handled not in ("stop", "start", "help"):
            vendor_answers = self.account.get("vendor_answers_stop", "yes") != "no"
            handled = _VENDOR_WORDS.get(text.strip().upper(), "") if vendor_answers else ""
        return [
            Reply(
                channel=self.channel,
                sender=form.first("From"),
                text=text,
                vendor_id=form.first("MessageSid"),
                vendor_handled=handled,
                vendor_confirmed=bool(handled),
                recipient=form.first("To"),
            )
        ]

    def choice_requests(self, choice: Choice) -> list[HttpRequest]:
        """Stops of everything and their ends; a toll-free block ends only by texting START."""
        form = consents.form(choice, self.account)
        if not form or self.account.get("tells_consents") != "yes":
            return []
        host = consents.LIVE_BASE_URL if self.base_url == self.live_base_url else self.base_url
        headers = {"Accept": "application/json"}
        url = f"{host}{consents.PATH}"
        return [HttpRequest.post(url, form=form, auth=self._auth, headers=headers)]

    def raise_for_status(self, response: HttpResponse, *, vendor_code: str = "") -> None:
        """A Retry-After counts with 5xx too; the Consents API refuses items of a "created"."""
        wait_s = response.retry_after_s()
        if response.status in (500, 503) and wait_s is not None:
            raise RateLimited(self.key, response, retry_after_s=wait_s, vendor_code=vendor_code)
        super().raise_for_status(response, vendor_code=vendor_code)
        if refused := consents.refused_code(response):
            raise MessageRejected(self.key, response, vendor_code=refused)

    def _raise_for_code(self, code: str, response: HttpResponse) -> None:
        if code in CONFIGURATION:
            raise ConfigurationError(self.key, f"Twilio refused: code {code}", vendor_code=code)
        fault = FAULTS.get(code)
        if fault is None:
            return
        wait_s = response.retry_after_s()
        if fault.error is RateLimited or (fault.error is TransientError and wait_s is not None):
            raise RateLimited(
                self.key,
                response,
                retry_after_s=fault.retry_after_s if wait_s is None else wait_s,
                vendor_code=code,
            )
        if fault.error is TransientError:
            raise TransientError(
                self.key, response, vendor_code=code, most_retries=fault.most_retries
            )
        raise fault.error(self.key, response, vendor_code=code)

    def _verified(self, call: InboundCall) -> Form:
        return verified_form(
            call,
            auth_tokens=self._secrets("auth_token"),
            shared_keys=self._secrets("webhook_shared_key"),
        )

    def _secrets(self, name: str) -> list[str]:
        """The secret of this name and the one before it, as far as they are set."""
        given = (self.account.get(one, "") for one in (name, "previous_auth_token"))
        return [secret for secret in given if secret]


def _code(value: object) -> str:
    """A vendor code as text; "" for anything that is none."""
    return str(value) if isinstance(value, (int, str)) and value not in (0, "0", False) else ""


def _error_word(code: str) -> str:
    """The word of errors.py a receipt's code stands for; "" for an unknown one."""
    if code in CONFIGURATION:
        return "config"
    fault = FAULTS.get(code)
    return fault.error.code if fault else ""
