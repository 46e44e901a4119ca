"""WhatsApp messages through Meta's Cloud API. Vendor facts and their pages are in whatsapp.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from integrations import meta_graph
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
    Reply,
    Reply200,
    Setting,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientOptedOut,
)
from integrations.payloads import inner, objects, text
from integrations.providers.whatsapp_codes import (
    CONFIGURATION,
    FAULTS,
    PAIR_RATE,
    STOPPED_MARKETING,
    WINDOW_CLOSED,
)
from integrations.providers.whatsapp_statuses import alias_of, choices, statuses

_LONGEST_TEXT = 4096
#: longest body of a message with buttons
_LONGEST_BODY = 1024
_LONGEST_PARAMETER = 1024
#: a business-scoped user id stands where the phone number is not known
_USER_ID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9]{1,128}")
_TEMPLATE = re.compile(r"([a-z0-9_]{1,512})(?::([A-Za-z]{2,3}(?:_[A-Z]{2})?))?")
_MEDIA = frozenset({"image", "video", "audio", "document", "sticker", "location", "contacts"})
STATUS_BUTTON = "Order status"
COMING_BUTTON = "On my way"
STOP_BUTTON = "Stop"


class WhatsApp(Provider):
    """A template outside the 24 hours a guest's message opens, plain text inside them.

    A message template of ours with a vendor template ("name" or "name:en_US") is sent as that
    template with the variables the account names; without one it is free text.
    """

    key = "whatsapp"
    channel = Channel.WHATSAPP
    title = "WhatsApp"
    live_base_url = meta_graph.BASE_URL
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "phone_number_id",
            label="Phone number ID",
            help="digits; not the number itself",
            example="106540352242922",
        ),
        Setting(
            "business_account_id",
            label="Business account ID",
            required=False,
            help="optional: shows after a test which templates Meta would not send",
        ),
        Setting(
            "access_token",
            label="Access token",
            secret=True,
            help="of a system user",
            example="EAAG0123456789token",
        ),
        Setting(
            "app_secret",
            label="App secret",
            secret=True,
            help="verifies webhooks",
            example="app-secret-0123456789abcdef",
        ),
        Setting(
            "previous_app_secret",
            label="Previous app secret",
            secret=True,
            required=False,
            help="while rotating: webhooks signed with it are believed too, until you remove it",
        ),
        Setting(
            "verify_token",
            label="Verify token",
            secret=True,
            help="you choose it; Meta asks for it",
            example="order-up-verify-1",
        ),
        Setting(
            "template_variables",
            label="Template variables",
            required=False,
            default="name,order,status",
            help="in the order of {{1}}, {{2}}, ...",
        ),
        Setting(
            "template_parameters",
            label="Template parameters",
            required=False,
            default="positional",
            choices=("positional", "named"),
        ),
        Setting(
            "template_buttons",
            label="Template buttons",
            required=False,
            default="none",
            choices=("none", "url", "status", "url,status"),
            help="as in the approved template, in this order",
        ),
        Setting("api_version", label="Graph version", required=False, default=meta_graph.VERSION),
    )
    capabilities = Capabilities(
        receipts=True,
        replies=True,
        max_chars=_LONGEST_TEXT,
        rate_per_s=80.0,
        vendor_templates=True,
        window_s=24 * 3600,
    )

    def request(self, message: Message) -> HttpRequest:
        """POST messages. Raises MessageRejected for a text or template name Meta would refuse."""
        body = _sendable(message.text).strip()
        if not body or len(message.text) > _LONGEST_TEXT:
            raise MessageRejected(
                self.key, detail=f"{len(message.text)} characters; 1 to {_LONGEST_TEXT} fit"
            )
        to = message.to.strip()
        recipient = {"recipient": to} if _USER_ID.fullmatch(to) else {"to": to.lstrip("+")}
        return HttpRequest.post(
            f"{self.base_url}/{self._version()}/{self.account['phone_number_id']}/messages",
            json_body={
                "messaging_product": "whatsapp",
                "recipient_type": "individual",
                **recipient,
                "biz_opaque_callback_data": message.attempt_id,
                **self._content(message, body),
            },
            headers=self._bearer(),
        )

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Read an answer: Meta's code decides, then the HTTP status."""
        error = meta_graph.error_of(response)
        if error is not None and error.text:
            self._raise_for_code(error.code, message, response)
        self.raise_for_status(response, vendor_code=str(error.code) if error and error.code else "")
        answer = response.json_object()
        sent = next(iter(objects(answer.get("messages"))), {})
        if error is not None or not text(sent.get("id")):
            raise OutcomeUnknown(self.key, response, detail="no message id in the answer")
        return Accepted(vendor_id=text(sent.get("id")), detail=text(sent.get("message_status"), 40))

    def instead(self, message: Message, refusal: MessageRejected) -> Message | None:
        """The template, where the window turned out to be closed (or open at another number)."""
        is_closed = refusal.vendor_code == str(WINDOW_CLOSED)
        if is_closed and message.vendor_template and message.window_open:
            return replace(message, window_open=False)
        return None

    def set_up_request(self) -> HttpRequest | None:
        """The templates of the business account, where it is known."""
        owner = self.account.get("business_account_id", "").strip()
        if not owner:
            return None
        url = meta_graph.templates_url(self.base_url, self._version(), owner)
        return HttpRequest.get(url, headers=self._bearer())

    def set_up_gaps(self, response: HttpResponse) -> list[str]:
        """The templates Meta would not send."""
        self.raise_for_status(response)
        return meta_graph.template_gaps(self.key, response)

    def handshake(self, call: InboundCall) -> Reply200 | None:
        """Meta's test of the webhook URL."""
        return meta_graph.answer_challenge(call, self.account["verify_token"])

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """Every status of our number in one call, and what people chose about marketing.

        They come in any order, and twice.
        """
        found = [one for value in self._values(call, "messages") for one in statuses(value)]
        chosen = (one for value in self._values(call, "user_preferences") for one in choices(value))
        return [*found, *chosen]

    def replies(self, call: InboundCall) -> list[Reply]:
        """Every message to our number in one call; reactions and system notes are left out."""
        return [
            reply
            for value in self._values(call, "messages")
            for found in objects(value.get("messages"))
            if (reply := self._reply(found, value)) is not None
        ]

    def _version(self) -> str:
        return self.account.get("api_version") or meta_graph.VERSION

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.account['access_token']}"}

    def _values(self, call: InboundCall, field: str) -> Iterator[dict[str, Any]]:
        secrets = meta_graph.secrets_of(self.account)
        for entry in meta_graph.verified(call, secrets, "whatsapp_business_account"):
            for value in meta_graph.changes(entry, field):
                # one app may hold several numbers; the others have accounts of their own
                number = inner(value, "metadata").get("phone_number_id")
                if number in (None, self.account["phone_number_id"]):
                    yield value

    def _content(self, message: Message, body: str) -> dict[str, Any]:
        # in the guest's window our own words say more than a template, and cost nothing
        if message.vendor_template and not message.window_open:
            return {"type": "template", "template": self._template(message)}
        is_chat = message.window_open or message.purpose == "service_reply"
        if is_chat and len(body) <= _LONGEST_BODY:
            interactive = {
                "type": "button",
                "body": {"text": body},
                "action": {"buttons": _reply_buttons(message)},
            }
            return {"type": "interactive", "interactive": interactive}
        return {"type": "text", "text": {"preview_url": False, "body": body}}

    def _template(self, message: Message) -> dict[str, Any]:
        found = _TEMPLATE.fullmatch(message.vendor_template.strip())
        if found is None:
            raise MessageRejected(self.key, detail="the vendor template is not name:language")
        is_named = self.account.get("template_parameters") == "named"
        parameters = []
        for name in (self.account.get("template_variables") or "name,order,status").split(","):
            value: dict[str, Any] = {
                "type": "text",
                "text": _parameter(message.variables.get(name.strip(), "")),
            }
            parameters.append({**value, "parameter_name": name.strip()} if is_named else value)
        return {
            "name": found[1],
            "language": {"code": found[2] or message.language.replace("-", "_") or "en"},
            "components": [{"type": "body", "parameters": parameters}, *self._buttons(message)],
        }

    def _buttons(self, message: Message) -> Iterator[dict[str, Any]]:
        wanted = [b for b in (self.account.get("template_buttons") or "").split(",") if b != "none"]
        for index, button in enumerate(filter(None, wanted)):
            if button == "url":
                kind, parameter = "url", {"type": "text", "text": str(message.order.get("id", "-"))}
            else:
                order = str(message.order.get("number", ""))
                kind, parameter = "quick_reply", {"type": "payload", "payload": f"status:{order}"}
            yield {
                "type": "button",
                "sub_type": kind,
                "index": str(index),
                "parameters": [parameter],
            }

    def _raise_for_code(self, code: int, message: Message, response: HttpResponse) -> None:
        vendor_code = str(code)
        if code in CONFIGURATION:
            raise ConfigurationError(
                self.key, f"WhatsApp refused: code {code}", vendor_code=vendor_code
            )
        fault = FAULTS.get(code)
        if fault is None:
            return
        if code == STOPPED_MARKETING and message.purpose == "marketing":
            raise RecipientOptedOut(
                self.key, response, vendor_code=vendor_code, purpose="marketing", reason="user"
            )
        if fault.error is RateLimited:
            wait_s = response.retry_after_s()
            raise RateLimited(
                self.key,
                response,
                retry_after_s=fault.wait_s if wait_s is None else wait_s,
                whole_account=code != PAIR_RATE,
                vendor_code=vendor_code,
            )
        raise fault.error(self.key, response, vendor_code=vendor_code)

    def _reply(self, found: Mapping[str, Any], value: Mapping[str, Any]) -> Reply | None:
        kind = text(found.get("type"))
        number = text(found.get("from"))
        alias = text(found.get("from_user_id")) or alias_of(value, number)
        sender = number or alias
        said, payload = _words(kind, found)
        if not sender or not text(found.get("id")) or said is None:
            return None
        return Reply(
            channel=self.channel,
            sender=sender,
            text=said,
            vendor_id=text(found.get("id")),
            occurred_at=meta_graph.moment(found.get("timestamp")),
            action={"type": "button", "value": payload} if payload else {},
            recipient=text(inner(value, "metadata").get("display_phone_number")),
            alias=alias if number else "",
        )


def _reply_buttons(message: Message) -> list[dict[str, Any]]:
    """Where is it? - I am on my way - no more of these; what is pressed comes back as words."""
    number = str(message.order.get("number", ""))
    wanted = [(f"status:{number}", STATUS_BUTTON)]
    if message.purpose != "service_reply":
        if message.milestone == "ready" and not message.order.get("is_delivery"):
            wanted.append((f"coming:{number}", COMING_BUTTON))
        wanted.append(("stop", STOP_BUTTON))
    return [
        {"type": "reply", "reply": {"id": payload[:256], "title": title}}
        for payload, title in wanted
    ]


def _words(kind: str, found: Mapping[str, Any]) -> tuple[str | None, str]:
    """(words, payload of a button) of one inbound message; None = nothing a person said."""
    if kind == "text":
        return text(inner(found, "text").get("body"), _LONGEST_TEXT), ""
    if kind == "button":  # the quick reply of a template
        button = inner(found, "button")
        return text(button.get("text")), text(button.get("payload"))
    if kind == "interactive":
        asked = inner(found, "interactive")
        pressed = inner(asked, "button_reply") or inner(asked, "list_reply")
        return text(pressed.get("title")), text(pressed.get("id"))
    if kind in _MEDIA:
        return text(inner(found, kind).get("caption"), _LONGEST_TEXT) or f"[{kind}]", ""
    return None, ""


def _parameter(value: str) -> str:
    """Meta refuses empty variables, line breaks, tabs and long gaps in them."""
    return " ".join(_sendable(value).split())[:_LONGEST_PARAMETER] or "-"


def _sendable(words: str) -> str:
    """Without halves of surrogate pairs, which no encoder takes, and without NUL."""
    return words.encode("utf-8", "ignore").decode().replace("\x00", "")
