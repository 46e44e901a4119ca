"""What HubSpot posts to us: changes of contacts, signed, and calls of a manager's workflow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from integrations import flow_calls
from integrations.contracts import InboundCall, Receipt, ReceiptKind
from integrations.errors import SignatureInvalid
from integrations.payloads import load_json, objects, text
from integrations.signatures import hmac_base64, require_hmac

#: HubSpot's clock may differ from ours by this much, in either direction
_LONGEST_AGE_MS = 300_000
_STAMP = "X-HubSpot-Request-Timestamp"
_SIGNATURE = "X-HubSpot-Signature-v3"
#: contacts, as subscriptions of newer apps name them
_CONTACT = ("", "0-1")
#: software wrote it, perhaps we: the stop list tells these apart once a day
_NOT_A_PERSON = frozenset({"API", "INTEGRATION"})
_NO = frozenset({"false", "no", "0", "off"})


def verify(call: InboundCall, *secrets: str) -> None:
    """Raise SignatureInvalid unless HubSpot signed ``call``, version 3, within five minutes.

    ``secrets`` are the app's client secret and, while it is changed, the one before.
    """
    stamp = call.headers.get(_STAMP.lower(), "").strip()
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 15):
        raise SignatureInvalid(f"header {_STAMP} is missing or no number of milliseconds")
    age_ms = round(call.received_at.timestamp() * 1000) - int(stamp)
    if abs(age_ms) > _LONGEST_AGE_MS:
        raise SignatureInvalid(f"the signature is {age_ms // 1000} s old")

    def over(url: str) -> bytes:
        head = f"{call.method}{url}".encode("utf-8", "surrogatepass")
        return head + call.body + stamp.encode()

    require_hmac(
        header=_SIGNATURE,
        given=call.headers.get(_SIGNATURE.lower(), ""),
        secrets=secrets,
        message=over(call.url),
        encode=hmac_base64,
        call=call,
        over=over,
    )


def read_receipts(call: InboundCall, account: Mapping[str, str]) -> list[Receipt]:
    """Verify ``call``, then read it: people who say no to order news, or how far a workflow came.

    Only stops are read. A "yes" in the CRM never lifts what a person stopped.
    """
    if flow_calls.is_flow_call(call):
        flow_calls.require_key(call, *_both(account, "workflow_key"))
        return flow_calls.read_flow_call(call)
    verify(call, *_both(account, "client_secret"))
    body = load_json(call.body)
    if isinstance(body, dict):  # a workflow's webhook action, signed like an app's
        return flow_calls.read_flow_call(call)
    return [found for each in objects(body) if (found := _stop(each, account)) is not None]


def _both(account: Mapping[str, str], name: str) -> list[str]:
    return [account.get(f"{age}{name}", "") for age in ("", "previous_")]


def stop_properties(account: Mapping[str, str]) -> dict[str, bool]:
    """Contact properties by which somebody says no to order news -> the value that says so."""
    found = {"hs_email_optout": True}
    if account.get("subscription_id"):
        found[f"hs_email_optout_{account['subscription_id']}"] = True
    if account.get("opt_out_property"):
        found[account["opt_out_property"].strip()] = False
    return found


def says_no(value: object, stop_value: bool) -> bool:
    """Whether a property's value is the one that stops: "true", or for a consent "false", "no"."""
    word = str(value).strip().lower() if isinstance(value, str | bool) else ""
    return word == "true" if stop_value else word in _NO


def _stop(event: Mapping[str, Any], account: Mapping[str, str]) -> Receipt | None:
    portal = account.get("portal_id", "")
    if portal and text(event.get("portalId")) != portal:
        return None
    if text(event.get("objectTypeId")) not in _CONTACT:
        return None
    what, _, change = text(event.get("subscriptionType")).partition(".")
    contact = text(event.get("objectId"))
    if what not in ("contact", "object") or not contact:
        return None
    name = text(event.get("propertyName"))
    if change == "propertyChange":
        if text(event.get("changeSource")) in _NOT_A_PERSON:
            return None
        stops = stop_properties(account)
        if name not in stops or not says_no(event.get("propertyValue"), stops[name]):
            return None
    elif change != "privacyDeletion":  # whose data HubSpot erased is not written there again
        return None
    key = [text(event.get(part)) for part in ("eventId", "subscriptionId", "occurredAt")]
    return Receipt(
        kind=ReceiptKind.UNSUBSCRIBED,
        vendor_id=contact,
        vendor_code=(name or change)[:60],
        vendor_time=_moment(event.get("occurredAt")),
        event_id=":".join(key),
    )


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    try:
        return datetime.fromtimestamp(value / 1000, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
