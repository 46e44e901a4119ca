"""What Klaviyo posts to us: batches of its events, signed, and calls of the manager's own flow.

Page: developers.klaviyo.com working_with_system_webhooks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from integrations import flow_calls
from integrations.contracts import InboundCall, Receipt, ReceiptKind
from integrations.errors import RecipientUnreachable, SignatureInvalid
from integrations.payloads import inner, load_object, objects, text
from integrations.providers.klaviyo_lists import moment
from integrations.signatures import is_same, require_hmac

_LONGEST_AGE_S = 300
_SIGNATURE, _STAMP, _WEBHOOK = "Klaviyo-Signature", "Klaviyo-Timestamp", "Klaviyo-Webhook-Id"
#: topic behind "event:klaviyo."; an account's own list is at GET /api/webhook-topics
_TOPICS: Mapping[str, ReceiptKind] = {
    **dict.fromkeys(("sent_sms", "sent_push"), ReceiptKind.SENT),
    **dict.fromkeys(
        ("received_email", "email_delivered", "received_sms", "received_push"),
        ReceiptKind.DELIVERED,
    ),
    **dict.fromkeys(("opened_email", "opened_push"), ReceiptKind.READ),
    **dict.fromkeys(("clicked_email", "clicked_sms"), ReceiptKind.CLICKED),
    **dict.fromkeys(("bounced_email", "bounced_push"), ReceiptKind.BOUNCED),
    **dict.fromkeys(("dropped_email", "failed_to_deliver_sms", "failed_sms"), ReceiptKind.FAILED),
    **dict.fromkeys(("marked_email_as_spam", "marked_email_as_a_spam"), ReceiptKind.COMPLAINED),
    **dict.fromkeys(
        (
            "unsubscribed",
            "unsubscribed_from_email_marketing",
            "unsubscribed_from_sms_marketing",
            "unsubscribed_from_sms_transactional",
        ),
        ReceiptKind.UNSUBSCRIBED,
    ),
}


def verify(call: InboundCall, *secrets: str) -> dict[str, Any]:
    """The body of a call Klaviyo signed within five minutes; raises SignatureInvalid.

    The signature covers the body and the timestamp as it is written, in whatever form.
    """
    stamp = call.headers.get(_STAMP.lower(), "").strip()
    require_hmac(
        header=_SIGNATURE,
        given=call.headers.get(_SIGNATURE.lower(), ""),
        secrets=secrets,
        message=call.body + stamp.encode("utf-8", "surrogatepass"),
    )
    at = _stamped_at(stamp)
    if at is None:
        raise SignatureInvalid(f"header {_STAMP} is missing or no time")
    age_s = (call.received_at - at).total_seconds()
    if abs(age_s) > _LONGEST_AGE_S:
        raise SignatureInvalid(f"the signature is {round(age_s)} s old")
    body = load_object(call.body)
    named = text(inner(body, "meta").get("klaviyo_webhook_id"))
    if not named or not is_same(call.headers.get(_WEBHOOK.lower(), "").strip(), named):
        raise SignatureInvalid(f"{_WEBHOOK} is not the webhook the body names")
    return body


def read_receipts(call: InboundCall, account: Mapping[str, str]) -> list[Receipt]:
    """Verify ``call``, then read it: events about our messages, or how far the flow came.

    Events that do not carry our id are about something else the restaurant sent.
    """
    if flow_calls.is_flow_call(call):
        flow_calls.require_key(call, *_both(account, "flow_key"))
        return flow_calls.read_flow_call(call)
    body = verify(call, *_both(account, "webhook_secret"))
    return [found for each in objects(body.get("data")) if (found := _receipt(each)) is not None]


def _both(account: Mapping[str, str], name: str) -> list[str]:
    return [account.get(f"{age}{name}", "") for age in ("", "previous_")]


def _receipt(event: Mapping[str, Any]) -> Receipt | None:
    kind = _TOPICS.get(text(event.get("topic")).rpartition(".")[2].lower())
    attributes = inner(event, "payload", "data", "attributes")
    said = inner(attributes, "event_properties")
    attempt = text(said.get("attempt_id")) or text(inner(said, "$extra").get("attempt_id"))
    if kind is None or not attempt:
        return None
    is_push = "push" in text(event.get("topic"))
    is_hard = text(said.get("Bounce Type")).lower() == "hard"
    return Receipt(
        kind=kind,
        attempt_id=attempt,
        vendor_time=_happened_at(attributes),
        # a device that is gone says nothing about the mailbox the guest is known by
        error=RecipientUnreachable.code
        if kind is ReceiptKind.BOUNCED and is_hard and not is_push
        else "",
        event_id=text(event.get("external_id"), 150),
    )


def _happened_at(attributes: Mapping[str, Any]) -> datetime | None:
    seconds = attributes.get("timestamp")
    if isinstance(seconds, int) and not isinstance(seconds, bool):
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            return None
    return moment(attributes.get("datetime"))


def _stamped_at(stamp: str) -> datetime | None:
    """ISO 8601, an HTTP date, or seconds since 1970: all have been seen."""
    try:
        if stamp.isascii() and stamp.isdecimal() and len(stamp) <= 11:
            return datetime.fromtimestamp(int(stamp), UTC)
        found = (
            datetime.fromisoformat(stamp) if stamp[:1].isdigit() else parsedate_to_datetime(stamp)
        )
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError, IndexError, TypeError):
        return None
