"""What Twilio says: the message resource it answers with and the signed forms it posts to us."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount
from integrations.sandbox.vendors.base import rfc2822_now
from integrations.sms_text import measure

API_VERSION = "2010-04-01"
#: the number texts of a Messaging Service come from
POOL_NUMBER = "+15005550006"


def signature(auth_token: str, url: str, fields: Mapping[str, str]) -> str:
    """X-Twilio-Signature of a form posted to ``url``."""
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    digest = hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")


def segments(text: str) -> int:
    """How many SMS parts ``text`` is billed as."""
    # a short plain text is one part whatever it says; measuring is for the rest
    return 1 if len(text) <= 70 and text.isascii() else measure(text).parts


def resource(account: SandboxAccount, message_id: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """The message resource right after creation."""
    sid = account.settings["account_sid"]
    service = fields.get("MessagingServiceSid")
    text = fields.get("Body", "")
    now = rfc2822_now()
    uri = f"/{API_VERSION}/Accounts/{sid}/Messages/{message_id}"
    return {
        "account_sid": sid,
        "api_version": API_VERSION,
        "body": text,
        "date_created": now,
        "date_sent": None,
        "date_updated": now,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": fields.get("From"),
        "messaging_service_sid": service,
        "num_media": "0",
        "num_segments": "0" if service else str(segments(text)),
        "price": None,
        "price_unit": "USD",
        "sid": message_id,
        "status": "accepted" if service else "queued",
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": fields["To"],
        "uri": f"{uri}.json",
    }


def status_call(
    account: SandboxAccount,
    url: str,
    callback: str,
    message_id: str,
    fields: Mapping[str, str],
    status: str,
    error: str,
) -> VendorCall:
    """The status callback that says ``status`` (with ``error`` as ErrorCode)."""
    form = {
        "AccountSid": account.settings["account_sid"],
        "ApiVersion": API_VERSION,
        "From": fields.get("From") or POOL_NUMBER,
        "MessageSid": message_id,
        "MessageStatus": status,
        "SmsSid": message_id,
        "SmsStatus": status,
        "To": fields["To"],
    }
    if fields.get("MessagingServiceSid"):
        form["MessagingServiceSid"] = fields["MessagingServiceSid"]
    if error:
        form["ErrorCode"] = error
    return signed_form(account, url, callback, form)


def signed_form(
    account: SandboxAccount, url: str, public_url: str, fields: Mapping[str, str]
) -> VendorCall:
    """A form posted to ``url`` and signed for ``public_url``, the address Twilio knows."""
    return VendorCall(
        url,
        urlencode(fields).encode(),
        {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": signature(account.settings["auth_token"], public_url, fields),
        },
    )


def consent_items(body: bytes) -> list[dict[str, Any]]:
    """The consents of a Consents/Bulk form: a field that comes once for each, as JSON."""
    found = []
    for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
        try:
            item = json.loads(value) if name == "Items" else None
        except ValueError:
            item = {}
        if isinstance(item, dict):
            found.append(item)
    return found


def consent_problems(account: SandboxAccount, item: Mapping[str, Any]) -> list[str]:
    """What Twilio finds wrong with one consent, in its words."""
    senders = {account.settings.get(name) for name in ("messaging_service_sid", "sender")}
    checks = {
        "INVALID_CONTACT_ID": re.fullmatch(r"\+[1-9]\d{7,14}", str(item.get("contact_id"))),
        "INVALID_CORRELATION_ID": re.fullmatch(r"[0-9a-f]{32}", str(item.get("correlation_id"))),
        "INVALID_SENDER_ID": item.get("sender_id") and item["sender_id"] in senders,
        "INVALID_STATUS": item.get("status") in ("opt-in", "opt-out"),
        "INVALID_SOURCE": item.get("source")
        in ("website", "offline", "opt-in-message", "opt-out-message", "others"),
    }
    return [word for word, is_good in checks.items() if not is_good]
