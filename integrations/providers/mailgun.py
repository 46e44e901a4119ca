"""E-mail through Mailgun, translated by django-anymail. Vendor facts are in mailgun.md."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from anymail.backends.mailgun import EmailBackend
from anymail.exceptions import AnymailError, AnymailInvalidAddress
from anymail.message import AnymailMessage
from anymail.utils import EmailAddress, parse_single_address

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
    basic_auth,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
)
from integrations.free_mail import is_free_mailbox
from integrations.providers import mailgun_lists as lists
from integrations.providers.mailgun_events import read_receipts, read_replies

_REGIONS: Mapping[str, str] = {
    "us": "https://api.mailgun.net",
    "eu": "https://api.eu.mailgun.net",
}
#: minutes Mailgun takes for o:deliver-within
_SHORTEST_MIN, _LONGEST_MIN = 5, 24 * 60
_LONGEST_SUBJECT = 200
#: a template's name; ids of the form "d-<hex>" are SendGrid's
_TEMPLATE = re.compile(r"(?!d-[0-9a-f]+\Z)[A-Za-z0-9._-]{1,120}")
#: bytes: all options together may take 16 kB, and the others take far less than 1 kB
_LONGEST_VARIABLES = 15_000
_NOT_ALLOWED = re.compile(r"domain .* is not allowed to send", re.IGNORECASE)
_BAD_ADDRESS = re.compile(r"\bto\b.* (is )?not a valid address", re.IGNORECASE)


class Mailgun(Provider):
    """E-mail by Mailgun's messages API.

    Anymail's Mailgun payload builds the request (about 150 us a message); it is used as a pure
    translator, so the request leaves through our own door and not through Anymail's ``requests``
    session. Anymail's webhook views check signatures and read what comes back.
    """

    key = "mailgun"
    channel = Channel.EMAIL
    title = "Mailgun"
    live_base_url = _REGIONS["us"]
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "domain",
            label="Sending domain",
            help="for example mg.example.com",
            example="mg.example.com",
        ),
        Setting(
            "api_key",
            label="API key",
            secret=True,
            help="a domain sending key is enough",
            example="key-0123456789abcdef",
        ),
        Setting("from_address", label="From address", example="orders@mg.example.com"),
        Setting("from_name", label="From name", required=False),
        Setting(
            "reply_to",
            label="Reply-To address",
            required=False,
            help="an address whose route forwards answers to us",
        ),
        Setting(
            "signing_key",
            label="HTTP webhook signing key",
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
        Setting(
            "lists_key",
            label="API key for events and lists",
            secret=True,
            required=False,
            help="an account key; with it Mailgun's suppression lists are told and read",
            example="key-fedcba9876543210",
        ),
        Setting("region", label="Region", required=False, default="us", choices=("us", "eu")),
    )
    capabilities = Capabilities(receipts=True, replies=True, look_up=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        region = account.get("region") or "us"
        if region not in _REGIONS:
            raise ConfigurationError(self.key, "setting 'region' must be us or eu")
        super().__init__(account, base_url=base_url or _REGIONS[region])
        self._backend = EmailBackend(
            api_key=account["api_key"],
            sender_domain=account["domain"],
            api_url=f"{self.base_url}/v3/",
        )
        try:
            address = parse_single_address(account["from_address"], field="from_address")
            name = _one_line(account.get("from_name", ""))
            self._from = str(EmailAddress(name or address.display_name, address.addr_spec))
        except AnymailError as error:
            raise ConfigurationError(
                self.key, "setting 'from_address' is not an address"
            ) from error
        if is_free_mailbox(address.addr_spec):
            raise ConfigurationError(self.key, "setting 'from_address' is a free mailbox")

    def request(self, message: Message) -> HttpRequest:
        """POST messages, in our words or in those of a template stored at Mailgun.

        Raises RecipientUnreachable for what is no address, MessageRejected for more variables
        than Mailgun takes.
        """
        to = message.to.strip()
        if " " in to or not to.isprintable():
            raise RecipientUnreachable(self.key, detail="not an e-mail address")
        minutes = math.ceil(message.valid_for_s / 60)
        template = self._template(message)
        email = AnymailMessage(
            subject=_subject(message),
            body="" if template else _sendable(message.text),
            from_email=self._from,
            to=[to],
            headers=_list_headers(message),
            reply_to=[self.account["reply_to"]] if self.account.get("reply_to") else None,
            connection=self._backend,
            tags=[(message.milestone or message.event_kind).partition(":")[0]],
            metadata={"attempt_id": message.attempt_id},
            esp_extra={
                "o:deliver-within": f"{max(_SHORTEST_MIN, min(minutes, _LONGEST_MIN))}m",
                "o:tracking": "no",
                **template,
            },
        )
        if message.html and not template:
            email.attach_alternative(_sendable(message.html), "text/html")
        try:
            payload = self._backend.build_message_payload(email, self._backend.send_defaults)
            parameters = payload.get_request_params(self._backend.api_url)
        except AnymailInvalidAddress as error:
            raise RecipientUnreachable(self.key, detail="not an e-mail address") from error
        except AnymailError as error:
            raise ConfigurationError(self.key, "Anymail refuses this account") from error
        if template:
            # Anymail's empty part would stand where t:text puts the template's words
            del parameters["data"]["text"]
        return HttpRequest.post(
            parameters["url"], form=_pairs(parameters["data"]), auth=parameters["auth"]
        )

    def _template(self, message: Message) -> dict[str, str]:
        """The fields that name a stored template and fill it; {} = our own words."""
        name = message.vendor_template.strip()
        if not _TEMPLATE.fullmatch(name):
            return {}
        # as SendGrid's templates get them: the variables, and subject and text as we would say them
        data = {
            **{key: _sendable(value) for key, value in message.variables.items()},
            "subject": _subject(message),
            "text": _sendable(message.text),
        }
        variables = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        if len(variables.encode()) > _LONGEST_VARIABLES:
            raise MessageRejected(self.key, detail=f"more than {_LONGEST_VARIABLES} bytes of data")
        return {"template": name, "t:variables": variables, "t:text": "yes"}

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Read the answer; Mailgun's refusals are told apart by their words."""
        said = str(response.json_object().get("message") or "")
        status = response.status
        if 200 <= status < 300:
            return self._accepted(response, said)
        if status == 400 and _BAD_ADDRESS.search(said):
            raise RecipientUnreachable(self.key, response)
        if status == 400 and _NOT_ALLOWED.search(said):
            raise ConfigurationError(self.key, "this domain is not allowed to send")
        self.raise_for_status(response)
        raise MessageRejected(self.key, response)

    def _accepted(self, response: HttpResponse, said: str) -> Accepted:
        if "Mailgun Magnificent API" in response.text():
            raise ConfigurationError(self.key, "wrong API address or domain")
        vendor_id = response.json_object().get("id")
        if not vendor_id or not said.startswith("Queued"):
            raise OutcomeUnknown(self.key, response, detail="no message id in the answer")
        # webhooks give the same id without the angle brackets
        return Accepted(vendor_id=str(vendor_id).strip("<>"))

    def look_up(self, message: Message) -> HttpRequest:
        """The newest events of this recipient; :meth:`looked_up` reads the answer.

        A domain sending key may not read events; the answer then cannot tell.
        """
        query = urlencode({"recipient": message.to, "limit": "25"})
        domain = quote(self.account["domain"], safe="")
        return HttpRequest.get(
            f"{self.base_url}/v3/{domain}/events?{query}",
            auth=("api", self.account.get("lists_key") or self.account["api_key"]),
        )

    def looked_up(self, message: Message, response: HttpResponse) -> Accepted | None:
        """The acceptance of this very attempt, by the id it carried.

        Events are listed with a delay, so absence proves nothing: raises OutcomeUnknown then,
        as for an unreadable answer. Never None.
        """
        items = response.json_object().get("items")
        for item in items if response.status == 200 and isinstance(items, list) else ():
            variables = item.get("user-variables") if isinstance(item, dict) else None
            if not isinstance(variables, dict):
                continue
            if variables.get("attempt_id") == message.attempt_id:
                headers = (item.get("message") or {}).get("headers") or {}
                return Accepted(vendor_id=str(headers.get("message-id") or "").strip("<>"))
        raise OutcomeUnknown(self.key, response, detail="no event of this attempt is listed")

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """One event of a domain webhook (JSON)."""
        return read_receipts(call, self._signing_keys())

    def replies(self, call: InboundCall) -> list[Reply]:
        """One mail forwarded by a route (form, parsed or raw MIME); no automatic answers."""
        return read_replies(call, self._signing_keys())

    def choice_requests(self, choice: Choice) -> list[HttpRequest]:
        """Everything stopped, or that taken back; a sending key alone may not say so."""
        if not self.account.get("lists_key"):
            return []
        told = lists.told(choice, self.account["domain"])
        return [self._call(method, path, body) for method, path, body in told]

    def stop_list_request(self, since: datetime, page: str = "") -> HttpRequest | None:
        """One list of the domain after the other, each whole: Mailgun sorts by address."""
        if not self.account.get("lists_key"):
            return None
        return self._call("GET", lists.page_path(page, self.account["domain"]))

    def stop_list(self, response: HttpResponse, page: str = "") -> StopList:
        """A page of one of them."""
        self.raise_for_status(response)
        # not an empty one: nobody's stop may be missed
        if not isinstance(response.json_object().get("items"), list):
            raise OutcomeUnknown(self.key, response, detail="the list is unreadable")
        return lists.read_page(response, page)

    def raise_for_status(self, response: HttpResponse, *, vendor_code: str = "") -> None:
        """Mailgun names the moment a limit ends; 402 is a matter of its bill."""
        if response.status == 402:
            raise ConfigurationError(self.key, "the vendor answered HTTP 402")
        if response.status == 429:
            wait_s = _wait_s(response)
            raise RateLimited(self.key, response, retry_after_s=wait_s, whole_account=True)
        super().raise_for_status(response, vendor_code=vendor_code)

    def _call(self, method: str, path: str, body: Any = None) -> HttpRequest:
        login = basic_auth("api", self.account["lists_key"])
        headers = {"Accept": "application/json", "Authorization": login}
        url = f"{self.base_url}{path}"
        if body is None:
            return HttpRequest(method, url, headers)
        headers["Content-Type"] = "application/json"
        return HttpRequest.post(url, json_body=body, headers=headers)

    def _signing_keys(self) -> list[str]:
        names = ("signing_key", "previous_signing_key")
        return [key for name in names if (key := self.account.get(name, ""))]


def _subject(message: Message) -> str:
    """One line; Anymail would hand a line break in it to the vendor unchanged."""
    subject = _one_line(message.subject) or _one_line(message.text.strip().partition("\n")[0])
    return subject[:_LONGEST_SUBJECT]


def _list_headers(message: Message) -> dict[str, str]:
    """RFC 8058 one-click unsubscribe: its POST header needs an https address."""
    link = _one_line(message.links.get("unsubscribe", ""))
    if not link:
        return {}
    headers = {"List-Unsubscribe": f"<{link}>"}
    if link.startswith("https://"):
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def _one_line(text: str) -> str:
    return " ".join(_sendable(text).split())


def _sendable(text: str) -> str:
    """Without halves of surrogate pairs, which no encoder takes."""
    return text.encode("utf-8", "ignore").decode()


def _pairs(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Anymail's form: a value may be a list, which is a repeated field."""
    return [
        (name, str(value))
        for name, values in data.items()
        for value in (values if isinstance(values, list) else [values])
    ]


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
