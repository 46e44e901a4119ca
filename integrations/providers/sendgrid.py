"""E-mail through SendGrid. Vendor facts and their pages are in sendgrid.md."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parseaddr, parsedate_to_datetime
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

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
    Reply,
    Setting,
    StopList,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
)
from integrations.free_mail import is_free_mailbox
from integrations.payloads import objects
from integrations.providers import sendgrid_lists as lists
from integrations.providers.sendgrid_events import read_receipts
from integrations.providers.sendgrid_mail import read_replies

_REGIONS: Mapping[str, str] = {
    "us": "https://api.sendgrid.com",
    "eu": "https://api.eu.sendgrid.com",
}
_LONGEST_SUBJECT = 200
#: a dynamic template's id; another name is one of another vendor's templates
_TEMPLATE = re.compile(r"d-[0-9a-f]{1,64}")
_NO_TRACKING: Mapping[str, Any] = {
    "click_tracking": {"enable": False},
    "open_tracking": {"enable": False},
    # SendGrid's own unsubscribe link would compete with ours
    "subscription_tracking": {"enable": False},
}


class SendGrid(Provider):
    """E-mail by the v3 Mail Send API, one recipient per call.

    Not through django-anymail, whose SendGrid support its maintainers have given up.
    """

    key = "sendgrid"
    channel = Channel.EMAIL
    title = "SendGrid"
    live_base_url = _REGIONS["us"]
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "api_key",
            label="API key",
            secret=True,
            help="SG....; needs only mail.send",
            example="SG.0123456789abcdef.0123456789abcdef",
        ),
        Setting(
            "from_address",
            label="From address",
            help="a verified sender",
            example="orders@example.com",
        ),
        Setting("from_name", label="From name", required=False),
        Setting(
            "reply_to",
            label="Reply-To address",
            required=False,
            help="an address of the host Inbound Parse listens on",
        ),
        Setting(
            "event_public_key",
            label="Event webhook verification key",
            secret=True,
            required=False,
            help="without it receipts are refused",
        ),
        Setting(
            "parse_public_key",
            label="Inbound Parse verification key",
            secret=True,
            required=False,
            help="of the parse security policy; without it answers are refused",
        ),
        Setting(
            "previous_event_public_key",
            label="Previous event webhook key",
            secret=True,
            required=False,
            help="while rotating: believed too, until you remove it",
        ),
        Setting(
            "previous_parse_public_key",
            label="Previous Inbound Parse key",
            secret=True,
            required=False,
        ),
        Setting("unsubscribe_group", label="Unsubscribe group ID", required=False, help="a number"),
        Setting(
            "shares_lists",
            label="Tell and read SendGrid's suppression lists",
            required=False,
            default="no",
            choices=("no", "yes"),
            help="'yes' needs an API key that may read and write suppressions",
        ),
        Setting("region", label="Region", required=False, default="us", choices=("us", "eu")),
    )
    capabilities = Capabilities(receipts=True, replies=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        region = account.get("region") or "us"
        if region not in _REGIONS:
            raise ConfigurationError(self.key, "setting 'region' must be us or eu")
        super().__init__(account, base_url=base_url or _REGIONS[region])
        name, address = parseaddr(account["from_address"])
        if not _is_address(address):
            raise ConfigurationError(self.key, "setting 'from_address' is not an address")
        if is_free_mailbox(address):
            raise ConfigurationError(self.key, "setting 'from_address' is a free mailbox")
        group = account.get("unsubscribe_group", "")
        if group and not (group.isascii() and group.isdecimal()):
            raise ConfigurationError(self.key, "setting 'unsubscribe_group' is not a number")
        self._from = _mailbox(address, account.get("from_name") or name)

    def request(self, message: Message) -> HttpRequest:
        """POST mail/send. Raises RecipientUnreachable for what is no address."""
        to = message.to.strip()
        if not _is_address(to):
            raise RecipientUnreachable(self.key, detail="not an e-mail address")
        recipient: dict[str, Any] = {
            "to": [{"email": to}],
            "custom_args": {"attempt_id": message.attempt_id},
        }
        if headers := _list_headers(message):
            recipient["headers"] = headers
        body: dict[str, Any] = {
            "personalizations": [recipient],
            "from": self._from,
            "categories": [(message.milestone or message.event_kind).partition(":")[0]],
            "tracking_settings": _NO_TRACKING,
        }
        if self.account.get("reply_to"):
            body["reply_to"] = {"email": self.account["reply_to"].strip()}
        if self.account.get("unsubscribe_group"):
            body["asm"] = {"group_id": int(self.account["unsubscribe_group"])}
        template = message.vendor_template.strip()
        if _TEMPLATE.fullmatch(template):
            body["template_id"] = template
            recipient["dynamic_template_data"] = _template_data(message)
        else:
            body["subject"] = _subject(message)
            body["content"] = _content(message)
        return self._call("POST", "/v3/mail/send", body)

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Read the answer: 202 with an id in a header, else errors that name a field."""
        status = response.status
        if 200 <= status < 300:
            vendor_id = response.headers.get("x-message-id", "").strip()
            # 200 is the answer of sandbox mode, which sends nothing
            if status != 202 or not vendor_id:
                raise OutcomeUnknown(self.key, response, detail="no message id in the answer")
            return Accepted(vendor_id=vendor_id)
        if status == 400 and _blames_recipient(response):
            raise RecipientUnreachable(self.key, response)
        if status in (405, 406):
            raise ConfigurationError(self.key, f"the vendor answered HTTP {status}")
        if status == 401 and "credits" in response.text().lower():
            raise ConfigurationError(self.key, "the plan's quota is used up")
        self.raise_for_status(response)
        raise MessageRejected(self.key, response)

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """All events of one call of the event webhook."""
        return read_receipts(call, self._keys())

    def replies(self, call: InboundCall) -> list[Reply]:
        """One mail of Inbound Parse, raw or parsed; no automatic answers."""
        return read_replies(call, self._keys())

    def choice_requests(self, choice: Choice) -> list[HttpRequest]:
        """Order news: the account's group; everything: the global list. Both can be taken back."""
        if not self._shares_lists:
            return []
        told = lists.told(choice, self.account.get("unsubscribe_group", ""))
        return [self._call(method, path, body) for method, path, body in told]

    def stop_list_request(self, since: datetime, page: str = "") -> HttpRequest | None:
        """One list after the other: unsubscribes, spam, bounces, invalid addresses, the group."""
        if not self._shares_lists:
            return None
        group = self.account.get("unsubscribe_group", "")
        return self._call("GET", lists.page_path(since, page, group))

    def stop_list(self, response: HttpResponse, page: str = "") -> StopList:
        """A page of one of them."""
        self.raise_for_status(response)
        if not isinstance(response.json(), list):  # not an empty one: nobody's stop may be missed
            raise OutcomeUnknown(self.key, response, detail="the list is unreadable")
        return lists.read_page(response, page, self.account.get("unsubscribe_group", ""))

    def raise_for_status(self, response: HttpResponse, *, vendor_code: str = "") -> None:
        """SendGrid names the moment a limit ends instead of the seconds to it."""
        if response.status == 429:
            wait_s = _wait_s(response)
            raise RateLimited(self.key, response, retry_after_s=wait_s, whole_account=True)
        super().raise_for_status(response, vendor_code=vendor_code)

    @property
    def _shares_lists(self) -> bool:
        return self.account.get("shares_lists") == "yes"

    def _call(self, method: str, path: str, body: Any = None) -> HttpRequest:
        headers = {
            "Authorization": f"Bearer {self.account['api_key']}",
            "Accept": "application/json",
        }
        url = f"{self.base_url}{path}"
        if body is None:
            return HttpRequest(method, url, headers)
        return HttpRequest.post(url, json_body=body, headers=headers)

    def _keys(self) -> list[str]:
        names = ("event_public_key", "parse_public_key")
        return [self.account.get(age + name, "") for age in ("", "previous_") for name in names]


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def _mailbox(address: str, name: str) -> dict[str, str]:
    name = _one_line(name)
    return {"email": address, "name": name} if name else {"email": address}


def _subject(message: Message) -> str:
    subject = _one_line(message.subject) or _one_line(message.text.strip().partition("\n")[0])
    return subject[:_LONGEST_SUBJECT] or "Your order"


def _content(message: Message) -> list[dict[str, str]]:
    """Plain text first: SendGrid wants the types in this order, and none of them empty."""
    parts = [("text/plain", _sendable(message.text)), ("text/html", _sendable(message.html))]
    found = [{"type": kind, "value": value} for kind, value in parts if value.strip()]
    return found or [{"type": "text/plain", "value": _subject(message)}]


def _template_data(message: Message) -> dict[str, Any]:
    """What a dynamic template may use: the variables, and subject and text as we would say them."""
    data: dict[str, Any] = {name: _sendable(value) for name, value in message.variables.items()}
    return {**data, "subject": _subject(message), "text": _sendable(message.text)}


def _list_headers(message: Message) -> dict[str, str]:
    """RFC 8058 one-click unsubscribe: its POST header needs an https address."""
    link = _one_line(message.links.get("unsubscribe", ""))
    if not link:
        return {}
    headers = {"List-Unsubscribe": f"<{link}>"}
    if link.startswith("https://"):
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def _blames_recipient(response: HttpResponse) -> bool:
    """Whether an error names ``personalizations.0.to.0.email`` (or a like path)."""
    for error in objects(response.json_object().get("errors")):
        path = str(error.get("field") or "").split(".")
        if len(path) >= 3 and path[-3] == "to" and path[-1] == "email":
            return True
    return False


def _wait_s(response: HttpResponse) -> float | None:
    """Seconds to X-RateLimit-Reset (epoch), by the clock of the answer's own Date header."""
    try:
        reset = float(response.headers["x-ratelimit-reset"])
        now = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return response.retry_after_s()
    if not math.isfinite(reset):
        return None
    return min(max(reset - now, 0.0), 3600.0)


def _one_line(text: str) -> str:
    return " ".join(_sendable(text).split())


def _sendable(text: str) -> str:
    """Without halves of surrogate pairs, which no encoder takes."""
    return text.encode("utf-8", "ignore").decode()
