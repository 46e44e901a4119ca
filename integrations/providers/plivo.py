"""Text messages through Plivo. Vendor facts and their pages are in plivo.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

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
    RecipientUnreachable,
)
from integrations.providers.plivo_codes import EXPIRED, error_word
from integrations.providers.plivo_signature import Verified, verified
from integrations.sms_text import measure, normalize

_KINDS: Mapping[str, ReceiptKind] = {
    "sent": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.READ,
    "undelivered": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
    "rejected": ReceiptKind.FAILED,
}
#: words Plivo acts on and answers itself on US and Canadian long codes and toll-free numbers
_VENDOR_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("STOP", "END", "QUIT"), "stop"),
    **dict.fromkeys(("START", "UNSTOP"), "start"),
    **dict.fromkeys(("HELP", "INFO"), "help"),
}
_LONGEST_GSM, _LONGEST_UCS = 1600, 737
#: "<" would join several recipients
_NUMBER = re.compile(r"\+?[0-9]{5,15}", re.ASCII)
_ABOUT_RECIPIENT = re.compile(r"\bdst\b|destination number", re.IGNORECASE)
_NO_CREDIT = re.compile("insufficient credit", re.IGNORECASE)
#: seconds a queued message may wait; Plivo's own default is three hours
_LONGEST_QUEUE_S = 3 * 3600


class Plivo(Provider):
    """SMS by Plivo's Message resource: one JSON call, form callbacks."""

    key = "plivo"
    channel = Channel.SMS
    title = "Plivo"
    live_base_url = "https://api.plivo.com"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "auth_id",
            label="Auth ID",
            help="MA... or SA... and 18 more characters",
            example="MA000000000000000001",
        ),
        Setting(
            "auth_token",
            label="Auth token",
            secret=True,
            help="also verifies webhooks",
            example="0123456789abcdef0123456789abcdef01234567",
        ),
        Setting(
            "main_auth_token",
            label="Auth token of the main account",
            secret=True,
            required=False,
            help="for a subaccount whose webhooks the main account signs",
        ),
        Setting(
            "previous_auth_token",
            label="Previous auth token",
            secret=True,
            required=False,
            help="while rotating: webhooks signed with it are believed too, until you remove it",
        ),
        Setting(
            "sender",
            label="Sender",
            required=False,
            help="+E.164, short code or name",
            example="+12025550100",
        ),
        Setting(
            "powerpack_uuid", label="Powerpack UUID", required=False, help="instead of a sender"
        ),
        Setting(
            "keep_texts",
            label="Plivo keeps texts and numbers",
            required=False,
            default="yes",
            choices=("yes", "no"),
        ),
        Setting(
            "vendor_answers_stop",
            label="Plivo answers STOP itself",
            required=False,
            default="yes",
            choices=("yes", "no"),
            help="'no' where DND is off, as on most short codes",
        ),
    )
    capabilities = Capabilities(receipts=True, replies=True, max_chars=_LONGEST_GSM, rate_per_s=5.0)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        if bool(account.get("sender")) == bool(account.get("powerpack_uuid")):
            raise ConfigurationError(
                self.key, "give setting 'sender' or 'powerpack_uuid', and not both"
            )

    def request(self, message: Message) -> HttpRequest:
        """POST Message. Raises MessageRejected or RecipientUnreachable for what Plivo refuses."""
        text = normalize(message.text)
        length = measure(text)
        longest = _LONGEST_GSM if length.encoding == "gsm" else _LONGEST_UCS
        # Plivo counts characters, except that an emoji takes two places in UCS-2
        used = len(text) if length.encoding == "gsm" else length.units
        if not text.strip() or used > longest:
            raise MessageRejected(self.key, detail=f"{used} characters; 1 to {longest} fit")
        if not _NUMBER.fullmatch(message.to):
            raise RecipientUnreachable(self.key, detail="not a phone number")
        sender = self.account.get("sender", "")
        body: dict[str, Any] = {
            **({"src": sender.lstrip("+")} if sender else {}),
            **({} if sender else {"powerpack_uuid": self.account["powerpack_uuid"]}),
            "dst": message.to.lstrip("+"),
            "text": text,
            "type": "sms",
            "log": "false" if self.account.get("keep_texts") == "no" else "true",
            "message_expiry": max(1, min(message.valid_for_s, _LONGEST_QUEUE_S)),
        }
        if message.callback_url:
            body |= {"url": message.callback_url, "method": "POST"}
        return HttpRequest.post(
            # without the slash at the end Plivo redirects, which turns a POST into a GET
            f"{self.base_url}/v1/Account/{self.account['auth_id']}/Message/",
            json_body=body,
            auth=(self.account["auth_id"], self.account["auth_token"]),
            headers={"Accept": "application/json"},
        )

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Read a send answer: the status decides, and for 400 the words of the error."""
        answer = response.json_object()
        said = str(answer.get("error") or "")
        if response.status >= 400 and _NO_CREDIT.search(said):
            raise ConfigurationError(self.key, "insufficient credit", vendor_code="900")
        if response.status == 400 and _ABOUT_RECIPIENT.search(said):
            raise RecipientUnreachable(self.key, response)
        if response.status == 429:  # 300 requests in 5 s, of the whole account
            wait_s = response.retry_after_s()
            raise RateLimited(self.key, response, retry_after_s=wait_s, whole_account=True)
        if response.status in (405, 409):
            raise ConfigurationError(self.key, f"the vendor answered HTTP {response.status}")
        self.raise_for_status(response)
        ids = answer.get("message_uuid")
        if isinstance(ids, list) and ids and isinstance(ids[0], str) and ids[0]:
            return Accepted(vendor_id=ids[0])
        if answer.get("invalid_number"):
            raise RecipientUnreachable(self.key, response)
        raise OutcomeUnknown(self.key, response, detail="no message id in the answer")

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """One status callback; ``queued`` says nothing new.

        A call signed the old way does not protect its body: it is taken once per nonce, and what
        it says about the address is left out, so that it can never suppress one.
        """
        found = self._verified(call)
        kind = _KINDS.get(found.first("Status"))
        if kind is None:
            return []
        code = found.first("ErrorCode")
        code = "" if code in ("0", "000", "None") else code
        if code == EXPIRED:
            kind = ReceiptKind.EXPIRED
        has_failed = kind is ReceiptKind.FAILED
        return [
            Receipt(
                kind=kind,
                vendor_id=found.first("MessageUUID"),
                attempt_id=call.query.get("a", ""),
                vendor_time=_moment(found.first("DeliveryReportTime")),
                vendor_code=code,
                error=error_word(code) if has_failed and not found.nonce else "",
                event_id=f"v2:{found.nonce}" if found.nonce else "",
                recipient=_plus(found.first("To")),
            )
        ]

    def replies(self, call: InboundCall) -> list[Reply]:
        """One inbound message, and whether Plivo already acted on its word and answered."""
        found = self._verified(call)
        if "Status" in found.form or not (found.first("From") and found.first("MessageUUID")):
            return []
        text = found.first("Text")
        answers = self.account.get("vendor_answers_stop", "yes") != "no"
        handled = _VENDOR_WORDS.get(text.rstrip().upper(), "") if answers else ""
        return [
            Reply(
                channel=self.channel,
                sender=_plus(found.first("From")),
                text=text,
                # an unprotected body may be replayed with other words: one nonce, one reply
                vendor_id=f"v2:{found.nonce}" if found.nonce else found.first("MessageUUID"),
                vendor_handled=handled,
                vendor_confirmed=bool(handled),
                recipient=_plus(found.first("To")),
            )
        ]

    def answer(self, call: InboundCall) -> Reply200:
        """Plivo reads the answer as XML; an empty response sends nothing by itself."""
        return Reply200(body=b"<Response/>", content_type="application/xml; charset=utf-8")

    def _verified(self, call: InboundCall) -> Verified:
        names = ("auth_token", "main_auth_token", "previous_auth_token")
        return verified(call, [self.account.get(name, "") for name in names])


def _plus(number: str) -> str:
    """Plivo writes numbers without +; names and short codes stay as they are."""
    return f"+{number}" if number.isascii() and number.isdecimal() and len(number) > 6 else number


def _moment(text: str) -> datetime | None:
    """A time like "2026-03-14 22:42:05.123456+00:00"; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None
