"""SendGrid's Mail Send API: JSON in, 202 with ``X-Message-Id`` out, batches of events after it.

Events and forwarded mail are signed with a key pair of the sandbox's own: an account shows that
it can check them by carrying ``PUBLIC_KEY`` in its settings. The real API gives the key out too.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage, SandboxReply
from integrations.sandbox.vendors.base import (
    Magic,
    ReceiptPlan,
    Route,
    json_reply,
    needed,
    random_hex,
    raw_of,
)
from integrations.sandbox.vendors.sendgrid_lists import SendGridLists, errors

_KEY_PAIR = ec.derive_private_key(0x0DE2_0DE2, ec.SECP256R1())
#: base64 DER, as SendGrid shows it
PUBLIC_KEY = base64.b64encode(
    _KEY_PAIR.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode("ascii")

_DELIVERED: Mapping[str, Any] = {"event": "delivered", "response": "250 OK"}
#: local part at example.com -> the events that follow ``processed``
_MAGIC_EVENTS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "bounce": (
        {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 unknown"},
    ),
    "blocked": (
        {"event": "bounce", "type": "blocked", "status": "5.7.1", "reason": "550 5.7.1 refused"},
    ),
    "suppressed": ({"event": "dropped", "reason": "Bounced Address"},),
    "optedout": ({"event": "dropped", "reason": "Unsubscribed Address"},),
    "deferred": ({"event": "deferred", "attempt": "1", "response": "451 later"}, _DELIVERED),
    "complaint": (_DELIVERED, {"event": "spamreport"}),
    "unsubscribed": (_DELIVERED, {"event": "unsubscribe"}),
    "opened": (_DELIVERED, {"event": "open", "sg_machine_open": False}),
}
#: local part at example.com -> (HTTP status, message, field)
_MAGIC_ERRORS: Mapping[str, tuple[int, str, str | None]] = {
    "invalid": (400, "Does not contain a valid address.", "personalizations.0.to.0.email"),
    "credits": (401, "Maximum credits exceeded", None),
    "error": (500, "internal error", None),
}


class SendGrid(SendGridLists):
    """E-mail. The message wall shows it as a mailbox."""

    key = "sendgrid"
    title = "SendGrid"
    channel = "email"
    magic = (
        Magic("invalid@example.com", "400 not a valid address"),
        Magic("credits@example.com", "401 quota used up"),
        Magic("throttled@example.com", "429 with X-RateLimit-Reset"),
        Magic("error@example.com", "500 server error"),
        Magic("bounce@example.com", "accepted, then bounced (5.1.1)"),
        Magic("blocked@example.com", "accepted, then refused by the other server"),
        Magic("suppressed@example.com", "accepted, then dropped: bounced before"),
        Magic("optedout@example.com", "accepted, then dropped: unsubscribed at the vendor"),
        Magic("deferred@example.com", "accepted, deferred, then delivered"),
        Magic("complaint@example.com", "delivered, then marked as spam"),
        Magic("unsubscribed@example.com", "delivered, then unsubscribed at the vendor"),
        Magic("opened@example.com", "delivered, then opened"),
    )

    def routes(self) -> Iterable[Route]:
        return (
            Route("POST", "/v3/mail/send", self.create),
            Route("GET", "/v3/user/webhooks/event/settings/signed", self.public_key),
            *self.list_routes(),
        )

    def account_name(self, settings: Mapping[str, str]) -> str:
        return needed(settings, "from_address")

    def credentials(self, settings: Mapping[str, str]) -> list[str]:
        return [f"Bearer {needed(settings, 'api_key')}"]

    def refusal(self, status: int, retry_after_s: float) -> web.Response:
        if status == 429:
            headers = {
                "X-RateLimit-Limit": "600",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": f"{time.time() + retry_after_s:.0f}",
            }
            return errors(429, "too many requests", headers=headers)
        return errors(status, "internal error")

    # --- the API --------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST mail/send."""
        account = self._account(request)
        if account is None:
            return errors(401, "The provided authorization grant is invalid, expired, or revoked")
        if not {"application/json", "*/*"} & set(request.headers.get("Accept", "").split(", ")):
            return errors(406, "Accept must allow application/json")
        if request.content_type != "application/json":
            return errors(415, "Content-Type should be application/json.")
        mail = _object(await request.read())
        problem = _problem(account, mail)
        if problem is not None:
            return problem
        to = mail["personalizations"][0]["to"][0]["email"]
        local = _magic_local(to)
        if local == "throttled":
            return self.refusal(429, 1.0)
        if local in _MAGIC_ERRORS:
            status, text, field = _MAGIC_ERRORS[local]
            return errors(status, text, field)
        message_id = base64.urlsafe_b64encode(bytes.fromhex(random_hex())).decode().rstrip("=")
        self.accept(lambda: self._message(account, message_id, mail, request))
        self._post_events(account, message_id, mail, self._fate(account, local, mail))
        return web.Response(status=202, headers={"X-Message-Id": message_id})

    def _fate(
        self, account: SandboxAccount, local: str, mail: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], ...]:
        """The events of an accepted mail; who is on a list gets none of it."""
        to = mail["personalizations"][0]["to"][0]["email"]
        if reason := self.stopped_by(account, to, mail.get("asm", {}).get("group_id")):
            return ({"event": "dropped", "reason": reason},)
        return _MAGIC_EVENTS.get(local, (_DELIVERED,))

    async def public_key(self, request: web.Request) -> web.StreamResponse:
        """GET the verification key of the event webhook."""
        if self._account(request) is None:
            return errors(401, "authorization required")
        return json_reply({"public_key": PUBLIC_KEY})

    def _account(self, request: web.Request) -> SandboxAccount | None:
        return self.state.find_account(self.key, request.headers.get("Authorization", ""))

    def _message(
        self, account: SandboxAccount, message_id: str, mail: dict[str, Any], request: web.Request
    ) -> SandboxMessage:
        recipient = mail["personalizations"][0]
        data = recipient.get("dynamic_template_data") or {}
        content = {part["type"]: part["value"] for part in mail.get("content", [])}
        link = recipient.get("headers", {}).get("List-Unsubscribe", "")
        sender = mail["from"]
        return SandboxMessage(
            vendor=self.key,
            channel=self.channel,
            account=account,
            id=message_id,
            to=recipient["to"][0]["email"],
            sender=f"{sender['name']} <{sender['email']}>" if "name" in sender else sender["email"],
            subject=str(mail.get("subject") or data.get("subject") or mail.get("template_id")),
            text=content.get("text/plain") or str(data.get("text", "")),
            html=content.get("text/html", ""),
            attempt=str(recipient.get("custom_args", {}).get("attempt_id", "")),
            raw=raw_of(request, lambda: mail),
            extra={
                "template": mail.get("template_id", ""),
                "variables": data,
                "reply_to": mail.get("reply_to", {}).get("email", ""),
                "unsubscribe": link.strip("<>"),
            },
        )

    # --- what SendGrid posts to us --------------------------------------------------------------

    def _post_events(
        self,
        account: SandboxAccount,
        message_id: str,
        mail: dict[str, Any],
        events: tuple[Mapping[str, Any], ...],
    ) -> None:
        url = account.target(account.webhook_url)
        if not url:
            return
        settings = self.state.settings
        to = mail["personalizations"][0]["to"][0]["email"]
        known = {
            "email": to,
            "sg_message_id": f"{message_id}.recvd-sandbox-1-{random_hex(4)}-1.0",
            "smtp-id": f"<{message_id}@geopod-ismtpd-1>",
            "category": mail.get("categories", []),
            **mail["personalizations"][0].get("custom_args", {}),
        }
        plans = []
        for position, event in enumerate(({"event": "processed"}, *events)):
            said = {**known, **event, "sg_event_id": random_hex(18), "timestamp": int(time.time())}
            plans.append(
                ReceiptPlan(
                    str(event["event"]),
                    settings.delivered_after_ms * position or settings.sent_after_ms,
                    partial(signed, url, "application/json", _batch([said])),
                )
            )
        self.post_receipts(message_id, plans)

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        """A mail somebody sent back, as Inbound Parse forwards it in raw mode."""
        sender, text = str(words.get("from", "")), str(words.get("text", ""))
        if "@" not in sender:
            raise ValueError("'from' is the mail address that replies")
        settings = account.settings
        to = str(words.get("to") or settings.get("reply_to") or settings["from_address"])
        message_id = f"{random_hex(12)}@{sender.rpartition('@')[2]}"
        subject = str(words.get("subject") or "Re: your order")
        mime = "\r\n".join(
            (
                f"From: {_line(sender)}",
                f"To: {_line(to)}",
                f"Subject: {_line(subject)}",
                f"Message-ID: <{message_id}>",
                "MIME-Version: 1.0",
                'Content-Type: text/plain; charset="utf-8"',
                "Content-Transfer-Encoding: 8bit",
                "",
                text,
            )
        )
        fields = {
            "email": mime,
            "envelope": json.dumps({"to": [to], "from": sender}),
            "from": sender,
            "to": to,
            "subject": subject,
        }
        reply = SandboxReply(vendor=self.key, id=message_id, sender=sender, to=to, text=text)
        cut = f"xYzZY{random_hex(8)}"
        return reply, signed(
            account.target(account.webhook_url),
            f"multipart/form-data; boundary={cut}",
            _multipart(fields, cut),
        )


def signed(url: str, content_type: str, body: bytes) -> VendorCall:
    """A call signed as SendGrid signs: timestamp and raw body."""
    stamp = str(int(time.time()))
    signature = _KEY_PAIR.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return VendorCall(
        url,
        body,
        {
            "Content-Type": content_type,
            "User-Agent": "SendGrid Event API",
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode("ascii"),
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
        },
    )


def _batch(events: list[dict[str, Any]]) -> bytes:
    # the line end belongs to the signed body
    return json.dumps(events, separators=(",", ":")).encode() + b"\r\n"


def _multipart(fields: Mapping[str, str], cut: str) -> bytes:
    parts = [
        f'--{cut}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return ("".join(parts) + f"--{cut}--\r\n").encode()


def _line(text: str) -> str:
    return " ".join(text.split())


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _problem(account: SandboxAccount, mail: Mapping[str, Any]) -> web.Response | None:
    """What SendGrid answers to a mail it will not take."""
    people = mail.get("personalizations")
    if not isinstance(people, list) or not 1 <= len(people) <= 1000:
        return errors(400, "The personalizations field is required.", "personalizations")
    to = people[0].get("to") if isinstance(people[0], dict) else None
    if not isinstance(to, list) or not to or "@" not in str(to[0].get("email", "")):
        return errors(400, "Does not contain a valid address.", "personalizations.0.to.0.email")
    if not all(isinstance(value, str) for value in people[0].get("custom_args", {}).values()):
        return errors(400, "custom_args values are strings", "personalizations.0.custom_args")
    sender = mail.get("from")
    if not isinstance(sender, dict) or "@" not in str(sender.get("email", "")):
        return errors(400, "The from object must be provided for every email.", "from.email")
    if sender["email"].lower() not in account.settings["from_address"].lower():
        words = "The from address does not match a verified Sender Identity."
        return errors(403, words, "from")
    if str(mail.get("template_id", "")).startswith("d-"):
        return None
    if not mail.get("subject"):
        return errors(400, "The subject is required.", "subject")
    content = mail.get("content")
    if not isinstance(content, list) or not content:
        return errors(400, "The content field is required.", "content")
    if not all(part.get("type") and part.get("value") for part in content):
        return errors(400, "The content value must be a string at least one character", "content")
    return None


def _magic_local(address: str) -> str:
    local, _, domain = address.lower().rpartition("@")
    return local if domain == "example.com" else ""
