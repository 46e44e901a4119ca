"""Text messages through SignalWire's Twilio-compatible API. Vendor facts are in signalwire.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote, urlencode

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
    ReceiptKind,
    Reply,
    Reply200,
    Setting,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from integrations.payloads import inner, objects, text
from integrations.providers.signalwire_codes import CONFIGURATION, EXPIRED, FAULTS, error_word
from integrations.providers.signalwire_signature import verified
from integrations.sms_text import normalize

_KINDS: Mapping[str, ReceiptKind] = {
    "sent": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "undelivered": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
}
_SPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.signalwire\.com)?")
#: seconds, SignalWire's longest ValidityPeriod
_LONGEST_QUEUE_S = 172_800
_LONGEST_TEXT = 1600


class SignalWire(Provider):
    """SMS by the compatibility API: Twilio's form without ``.json``, ids that are UUIDs.

    No SDK: the vendor's older one pins an old ``twilio``, the newer one is a voice framework.
    """

    key = "signalwire"
    channel = Channel.SMS
    title = "SignalWire"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("space", label="Space", help="the name before .signalwire.com", example="example"),
        Setting("project_id", label="Project ID", example="ea108133-d6b3-407c-9536-9fad8a929a6a"),
        Setting(
            "api_token",
            label="API token",
            secret=True,
            help="with the Messaging scope",
            example="PT0123456789abcdef0123456789abcdef",
        ),
        Setting("sender", label="Sender", required=False, help="+E.164", example="+12025550100"),
        Setting("number_group_id", label="Number group ID", required=False, help="or a sender"),
        Setting(
            "signing_key",
            label="Signing key",
            secret=True,
            required=False,
            help="without it receipts and answers are refused",
        ),
        Setting(
            "previous_signing_key",
            label="Previous signing key",
            secret=True,
            required=False,
            help="while rotating: believed too, until you remove it",
        ),
    )
    capabilities = Capabilities(
        receipts=True, replies=True, look_up=True, max_chars=_LONGEST_TEXT, rate_per_s=4.0
    )

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        space = account.get("space", "").strip().lower()
        host = space if space.endswith(".signalwire.com") else f"{space}.signalwire.com"
        super().__init__(account, base_url=base_url or f"https://{host}")
        if not _SPACE.fullmatch(space):
            raise ConfigurationError(self.key, "setting 'space' is not the name of a space")
        if not (account.get("sender") or account.get("number_group_id")):
            raise ConfigurationError(self.key, "setting 'sender' or 'number_group_id' is missing")
        self._auth = (account["project_id"], account["api_token"])
        project = quote(account["project_id"], safe="")
        self._messages = f"{self.base_url}/api/laml/2010-04-01/Accounts/{project}/Messages"

    def request(self, message: Message) -> HttpRequest:
        """POST Messages. Raises MessageRejected for a text SignalWire would refuse (21617)."""
        words = normalize(message.text)
        if not words.strip() or len(words) > _LONGEST_TEXT:
            raise MessageRejected(
                self.key, detail=f"{len(words)} characters; 1 to {_LONGEST_TEXT} fit"
            )
        form = {
            "To": message.to,
            "Body": words,
            "ValidityPeriod": str(max(1, min(message.valid_for_s, _LONGEST_QUEUE_S))),
        }
        if message.callback_url:
            form["StatusCallback"] = message.callback_url
        if self.account.get("number_group_id"):
            form["MessagingServiceSid"] = self.account["number_group_id"]
        else:
            form["From"] = self.account["sender"]
        headers = {"Accept": "application/json"}
        return HttpRequest.post(self._messages, form=form, auth=self._auth, headers=headers)

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Read a create answer: the vendor's code decides, then the HTTP status."""
        answer = response.json_object()
        is_created = 200 <= response.status < 300
        code = _code(answer.get("error_code") if is_created else _error_code(answer))
        if code:
            self._raise_for_code(code, response)
        self.raise_for_status(response, vendor_code=code)
        if not text(answer.get("sid")):
            raise OutcomeUnknown(self.key, response, detail="no message id in the answer")
        segments = text(answer.get("num_segments"))
        return Accepted(
            vendor_id=text(answer.get("sid")),
            segments=int(segments) if segments.isdecimal() else 0,
            detail=text(answer.get("status"), 40),
        )

    def look_up(self, message: Message) -> HttpRequest:
        """The newest messages to this number; :meth:`looked_up` reads the answer."""
        query = urlencode({"To": message.to, "PageSize": "20"})
        headers = {"Accept": "application/json"}
        return HttpRequest.get(f"{self._messages}?{query}", auth=self._auth, headers=headers)

    def looked_up(self, message: Message, response: HttpResponse) -> Accepted | None:
        """Whether ``message`` is in the answer to ``look_up``; None = SignalWire never got it.

        Matched by its text, so it presumes that no two messages to one number read the same.
        Raises OutcomeUnknown when the answer cannot tell.
        """
        listed = response.json_object().get("messages")
        if response.status != 200 or not isinstance(listed, list):
            raise OutcomeUnknown(self.key, response, detail="the list of messages is unreadable")
        words = normalize(message.text)
        for found in objects(listed):
            if found.get("body") == words and text(found.get("sid")):
                return Accepted(text(found.get("sid")), detail=text(found.get("status"), 40))
        return None

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """One status callback; statuses before ``sent`` say nothing new and are skipped."""
        form, _ = verified(call, self._signing_keys())
        kind = _KINDS.get(form.first("MessageStatus"))
        if kind is None:
            return []
        code = _code(form.first("ErrorCode"))
        if code in EXPIRED and kind is ReceiptKind.FAILED:
            kind = ReceiptKind.EXPIRED
        return [
            Receipt(
                kind=kind,
                vendor_id=form.first("MessageSid"),
                attempt_id=call.query.get("a", ""),
                vendor_code=code,
                error=error_word(code) if kind is ReceiptKind.FAILED else "",
                recipient=form.first("To"),
            )
        ]

    def replies(self, call: InboundCall) -> list[Reply]:
        """One inbound message, from a LaML handler (form) or an SWML one (JSON).

        SignalWire acts on no word by itself, so none is ever ``vendor_handled``.
        """
        form, body = verified(call, self._signing_keys())
        found = inner(body, "message")
        if found:
            sender, recipient = text(found.get("from")), text(found.get("to"))
            words, vendor_id = str(found.get("body") or ""), text(found.get("message_id"))
        elif "Body" in form and "MessageStatus" not in form:
            sender, recipient = form.first("From"), form.first("To")
            words, vendor_id = form.first("Body"), form.first("MessageSid")
        else:
            return []
        if not (sender and vendor_id):
            return []
        return [Reply(self.channel, sender, words, vendor_id, recipient=recipient)]

    def answer(self, call: InboundCall) -> Reply200:
        """SignalWire reads the answer as cXML (error 12100 otherwise); this one says nothing."""
        return Reply200(
            body=b"<Response></Response>", content_type="application/xml; charset=utf-8"
        )

    def _signing_keys(self) -> list[str]:
        names = ("signing_key", "previous_signing_key")
        return [key for name in names if (key := self.account.get(name, ""))]

    def _raise_for_code(self, code: str, response: HttpResponse) -> None:
        if code in CONFIGURATION:
            raise ConfigurationError(self.key, f"SignalWire refused: code {code}", vendor_code=code)
        fault = FAULTS.get(code)
        if fault is None:
            return
        if fault.error is RateLimited:
            wait_s = response.retry_after_s()
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


def _error_code(answer: Mapping[str, object]) -> object:
    """The code of an error body: {"code"} or, on some endpoints, {"errors": [{"code"}]}."""
    if answer.get("code"):
        return answer["code"]
    return next((error.get("code") for error in objects(answer.get("errors"))), None)


def _code(value: object) -> str:
    """A vendor code as text; "" for anything that is none."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return ""
    found = str(value).strip()
    return found if found.isascii() and found.isdecimal() and found != "0" else ""
