"""Messages of a Facebook Page through the Send API. Vendor facts are in messenger.md."""

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
    TransientError,
)
from integrations.payloads import inner, objects, text
from integrations.providers.messenger_codes import MOST_RETRIES, WINDOW_CLOSED, fault_of
from integrations.signatures import hmac_hex

_LONGEST_TEXT = 2000
_LONGEST_PAYLOAD = 1000
_DEFAULT_VARIABLES = "order,status"
_PERSON = re.compile(r"\d{3,40}", re.ASCII)
_TEMPLATE = re.compile(r"([a-z0-9_]{1,512})(?::([A-Za-z]{2,3}(?:_[A-Z]{2})?))?")
STATUS_BUTTON = "Order status"
STOP_BUTTON = "Stop"


class Messenger(Provider):
    """Text inside the 24 hours a guest's message opens, utility templates outside them.

    A message template of ours with a vendor template ("name" or "name:en") goes out as UTILITY
    outside them, where the Page may send those; everything else is text.
    """

    key = "messenger"
    channel = Channel.MESSENGER
    title = "Messenger"
    live_base_url = meta_graph.BASE_URL
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("page_id", label="Page ID", example="106540352242000"),
        Setting("page_access_token", label="Page access token", secret=True, example="EAAtoken"),
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
            "utility_messages",
            label="Utility messages",
            required=False,
            default="no",
            choices=("no", "yes"),
            help="'yes' once Meta approved them for this Page",
        ),
        Setting(
            "template_variables",
            label="Template variables",
            required=False,
            default=_DEFAULT_VARIABLES,
            help="in the order of {{1}}, {{2}}, ...",
        ),
        Setting(
            "template_url_button",
            label="Template has a URL button",
            required=False,
            default="no",
            choices=("no", "yes"),
        ),
        Setting("api_version", label="Graph version", required=False, default=meta_graph.VERSION),
    )
    capabilities = Capabilities(
        receipts=True,
        replies=True,
        max_chars=_LONGEST_TEXT,
        rate_per_s=300.0,
        vendor_templates=True,
        own_addresses=True,
        window_s=24 * 3600,
    )

    @classmethod
    def can_begin(cls, settings: Mapping[str, str]) -> bool:
        """Only a Page that Meta approved for utility messages may write first."""
        return settings.get("utility_messages") == "yes"

    def request(self, message: Message) -> HttpRequest:
        """POST messages. Raises MessageRejected for a text Meta would refuse.

        Raises RecipientUnreachable for an address that is no page-scoped id.
        """
        body = _sendable(message.text).strip()
        if not body or len(message.text) > _LONGEST_TEXT:
            raise MessageRejected(
                self.key, detail=f"{len(message.text)} characters; 1 to {_LONGEST_TEXT} fit"
            )
        if not _PERSON.fullmatch(message.to.strip()):
            raise RecipientUnreachable(self.key, detail="not a page-scoped id")
        url = f"{self.base_url}/{self._version()}/{self.account['page_id']}/messages"
        return HttpRequest.post(
            f"{url}?{self._proof()}",
            json_body={"recipient": {"id": message.to.strip()}, **self._content(message, body)},
            headers=self._bearer(),
        )

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Read an answer: Meta's code and subcode decide, then the HTTP status."""
        error = meta_graph.error_of(response)
        if error is not None and error.text:
            self._raise_for(error, response)
        vendor_code = error.text if error else ""
        if response.status in (500, 503):
            raise TransientError(
                self.key, response, vendor_code=vendor_code, most_retries=MOST_RETRIES
            )
        self.raise_for_status(response, vendor_code=vendor_code)
        vendor_id = text(response.json_object().get("message_id"))
        if error is not None or not vendor_id:
            raise OutcomeUnknown(self.key, response, detail="no message id in the answer")
        return Accepted(vendor_id=vendor_id)

    def instead(self, message: Message, refusal: MessageRejected) -> Message | None:
        """The utility template, where the window turned out to be closed."""
        is_closed = refusal.vendor_code in WINDOW_CLOSED
        if is_closed and message.window_open and self._may_begin(message):
            return replace(message, window_open=False)
        return None

    def set_up_request(self) -> HttpRequest | None:
        """The Page's templates, where it may send some."""
        if not self.can_begin(self.account):
            return None
        url = meta_graph.templates_url(self.base_url, self._version(), self.account["page_id"])
        return HttpRequest.get(f"{url}&{self._proof()}", headers=self._bearer())

    def set_up_gaps(self, response: HttpResponse) -> list[str]:
        """The templates Meta would not send."""
        self.raise_for_status(response)
        return meta_graph.template_gaps(self.key, response)

    def handshake(self, call: InboundCall) -> Reply200 | None:
        """Meta's test of the webhook URL."""
        return meta_graph.answer_challenge(call, self.account["verify_token"])

    def receipts(self, call: InboundCall) -> list[Receipt]:
        """Deliveries that name their messages, watermarks for all before them, echoes of ours."""
        events = (*self._events(call), *self._events(call, "standby"))
        return [receipt for event in events for receipt in _receipts(event)]

    def replies(self, call: InboundCall) -> list[Reply]:
        """Messages, button presses and arrivals by an m.me link; no echoes.

        What is said while another app has the conversation ("standby") is overheard: not ours to
        answer, but a stop all the same.
        """
        found = [self._reply(event) for event in self._events(call)]
        for event in self._events(call, "standby"):
            reply = self._reply(event)
            if reply is not None and reply.text:
                overheard = {"type": "overheard"}
                found.append(replace(reply, action=overheard, vendor_confirmed=True))
        return [reply for reply in found if reply is not None]

    def link_url(self, token: str) -> str:
        """m.me with a ref; the stand-in has a page of its own."""
        host = "https://m.me" if self.base_url == self.live_base_url else f"{self.base_url}/link"
        return f"{host}/{self.account['page_id']}?ref={token}"

    def _version(self) -> str:
        return self.account.get("api_version") or meta_graph.VERSION

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.account['page_access_token']}"}

    def _proof(self) -> str:
        """Shows that the token is used by who holds the app's secret, not by a thief."""
        token = self.account["page_access_token"].encode()
        return f"appsecret_proof={hmac_hex(self.account['app_secret'], token)}"

    def _events(self, call: InboundCall, where: str = "messaging") -> Iterator[dict[str, Any]]:
        for entry in meta_graph.verified(call, meta_graph.secrets_of(self.account), "page"):
            # one app may serve several Pages; the others have accounts of their own
            if text(entry.get("id")) in ("", self.account["page_id"]):
                yield from objects(entry.get(where))

    def _may_begin(self, message: Message) -> bool:
        return bool(message.vendor_template) and self.can_begin(self.account)

    def _content(self, message: Message, body: str) -> dict[str, Any]:
        # in the guest's window our own words say more than a template
        if self._may_begin(message) and not message.window_open:
            utility = {"template": self._template(message), "metadata": message.attempt_id}
            return {"messaging_type": "UTILITY", "message": utility}
        is_answer = message.purpose == "service_reply"
        payload = f"status:{message.order.get('number', '')}"[:_LONGEST_PAYLOAD]
        buttons = [(STATUS_BUTTON, payload)]
        if not is_answer:
            buttons.append((STOP_BUTTON, "stop"))
        said = {
            "text": body,
            "metadata": message.attempt_id,
            "quick_replies": [
                {"content_type": "text", "title": title, "payload": pressed}
                for title, pressed in buttons
            ],
        }
        return {"messaging_type": "RESPONSE" if is_answer else "UPDATE", "message": said}

    def _template(self, message: Message) -> dict[str, Any]:
        found = _TEMPLATE.fullmatch(message.vendor_template.strip())
        if found is None:
            raise MessageRejected(self.key, detail="the vendor template is not name:language")
        names = (self.account.get("template_variables") or _DEFAULT_VARIABLES).split(",")
        values = [_parameter(message.variables.get(name.strip(), "")) for name in names]
        components: list[dict[str, Any]] = [
            {"type": "body", "parameters": [{"type": "text", "text": value} for value in values]}
        ]
        if self.account.get("template_url_button") == "yes":
            suffix = _parameter(str(message.order.get("id", "")))
            # one component for all buttons, unlike WhatsApp
            buttons = [{"type": "URL", "url": suffix}]
            components.append({"type": "buttons", "parameters": buttons})
        language = found[2] or message.language.replace("-", "_") or "en"
        return {"name": found[1], "language": {"code": language}, "components": components}

    def _raise_for(self, error: meta_graph.GraphError, response: HttpResponse) -> None:
        fault = fault_of(error.code, error.subcode)
        if fault is None:
            return
        if issubclass(fault.error, ConfigurationError):
            raise ConfigurationError(
                self.key, f"Messenger refused: code {error.text}", vendor_code=error.text
            )
        if fault.error is RateLimited:
            wait_s = response.retry_after_s()
            raise RateLimited(
                self.key,
                response,
                retry_after_s=fault.wait_s if wait_s is None else wait_s,
                whole_account=True,
                vendor_code=error.text,
            )
        if fault.error is TransientError:
            raise TransientError(
                self.key, response, vendor_code=error.text, most_retries=MOST_RETRIES
            )
        raise fault.error(self.key, response, vendor_code=error.text)

    def _reply(self, event: Mapping[str, Any]) -> Reply | None:
        sender = text(inner(event, "sender").get("id"))
        message, postback = inner(event, "message"), inner(event, "postback")
        if not sender or message.get("is_echo"):
            return None
        # without an id of its own an event is known by who and when
        fallback = f"{sender}:{text(event.get('timestamp'))}"
        action: dict[str, str] = {}
        if message:
            said, vendor_id = _words(message), text(message.get("mid"))
            payload = text(inner(message, "quick_reply").get("payload"), _LONGEST_PAYLOAD)
        elif postback:
            said, vendor_id = text(postback.get("title")), text(postback.get("mid"))
            payload = text(postback.get("payload"), _LONGEST_PAYLOAD)
        else:
            said, vendor_id, payload = "", "", ""
        if payload:
            action = {"type": "button", "value": payload}
        ref = text((inner(postback, "referral") or inner(event, "referral")).get("ref"), 1000)
        if ref:
            action = {"type": "link", "value": ref}
        if not said and not action:
            return None
        return Reply(
            channel=self.channel,
            sender=sender,
            text=said,
            vendor_id=vendor_id or fallback,
            occurred_at=meta_graph.moment(event.get("timestamp"), per_second=1000),
            action=action,
            recipient=text(inner(event, "recipient").get("id")),
        )


def _words(message: Mapping[str, Any]) -> str:
    """What the person wrote; of an attachment its kind."""
    said = text(message.get("text"), _LONGEST_TEXT)
    if said:
        return said
    kinds = [text(found.get("type"), 20) for found in objects(message.get("attachments"))]
    return f"[{kinds[0]}]" if kinds else ""


def _receipts(event: Mapping[str, Any]) -> Iterator[Receipt]:
    delivery, message = inner(event, "delivery"), inner(event, "message")
    mids = delivery.get("mids")
    for mid in mids if isinstance(mids, list) else []:
        if text(mid):
            yield Receipt(
                kind=ReceiptKind.DELIVERED,
                vendor_id=text(mid),
                vendor_time=meta_graph.moment(delivery.get("watermark"), per_second=1000),
                recipient=text(inner(event, "sender").get("id")),
            )
    person = text(inner(event, "sender").get("id"))
    marks = [(ReceiptKind.READ, inner(event, "read"))]
    if not isinstance(mids, list) or not mids:
        marks.insert(0, (ReceiptKind.DELIVERED, delivery))
    for kind, mark in marks:
        up_to = meta_graph.moment(mark.get("watermark"), per_second=1000)
        if person and up_to is not None:
            yield Receipt(kind=kind, vendor_time=up_to, recipient=person, up_to=up_to)
    # the metadata is ours; an echo without it was written in the inbox or by another app
    if message.get("is_echo") and text(message.get("mid")) and text(message.get("metadata")):
        yield Receipt(
            kind=ReceiptKind.SENT,
            vendor_id=text(message.get("mid")),
            attempt_id=text(message.get("metadata")),
            vendor_time=meta_graph.moment(event.get("timestamp"), per_second=1000),
            recipient=text(inner(event, "recipient").get("id")),
        )


def _parameter(value: str) -> str:
    return " ".join(_sendable(value).split())[:_LONGEST_PAYLOAD] or "-"


def _sendable(words: str) -> str:
    """Without halves of surrogate pairs, which no encoder takes, and without NUL."""
    return words.encode("utf-8", "ignore").decode().replace("\x00", "")
