"""Klaviyo's own lists of who wants nothing: what we tell them, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from integrations.contracts import Channel, Choice, HttpResponse, Receipt, ReceiptKind, StopList
from integrations.errors import PayloadMalformed, RecipientUnreachable
from integrations.payloads import inner, objects, text, time

_PAGE = 100
_NO: Mapping[str, str] = {"consent": "UNSUBSCRIBED"}
#: (channel, purpose; "" = everything) -> the consents Klaviyo keeps for it. There is none for
#: order news by mail: a guest who stops those only is not told there any more
_CONSENTS: Mapping[tuple[Channel, str], tuple[str, ...]] = {
    (Channel.EMAIL, "marketing"): ("marketing",),
    (Channel.EMAIL, ""): ("marketing",),
    (Channel.SMS, "marketing"): ("marketing",),
    (Channel.SMS, "order_updates"): ("transactional",),
    (Channel.SMS, ""): ("marketing", "transactional"),
}
#: why Klaviyo mails somebody no marketing -> what that is for us
_REASONS: Mapping[str, tuple[ReceiptKind, str]] = {
    "HARD_BOUNCE": (ReceiptKind.BOUNCED, RecipientUnreachable.code),
    "INVALID_EMAIL": (ReceiptKind.BOUNCED, RecipientUnreachable.code),
    "SPAM_COMPLAINT": (ReceiptKind.COMPLAINED, ""),
}
_MARKETING_REASONS = frozenset({"UNSUBSCRIBE", "USER_SUPPRESSED"})


def unsubscription(choice: Choice) -> dict[str, Any] | None:
    """The job that takes consents back from one person; None = nothing to tell."""
    consents = _CONSENTS.get((choice.channel, choice.purpose))
    if not choice.is_stopped or consents is None:
        return None
    by_mail = choice.channel == Channel.EMAIL
    person = {
        "email" if by_mail else "phone_number": choice.to.strip(),
        "subscriptions": {
            "email" if by_mail else "sms": {consent: dict(_NO) for consent in consents}
        },
    }
    profiles = {"data": [{"type": "profile", "attributes": person}]}
    kind = "profile-subscription-bulk-delete-job"
    return {"data": {"type": kind, "attributes": {"profiles": profiles}}}


def profiles_query(speaks: str, since: datetime, page: str) -> str:
    """The query for one page; "" = nothing is known about this channel."""
    stamp = f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    fields = {
        "email": "subscriptions.email.marketing.suppression.timestamp",
        "sms": "updated",
    }
    if speaks not in fields:
        return ""
    query = {
        "additional-fields[profile]": "subscriptions",
        "fields[profile]": "email,phone_number,subscriptions",
        "filter": f"greater-than({fields[speaks]},{stamp})",
        "sort": fields[speaks],
        "page[size]": str(_PAGE),
        **({"page[cursor]": page} if page else {}),
    }
    return urlencode(query)


def read_profiles(response: HttpResponse, speaks: str, is_marketing_enough: bool) -> StopList:
    """A page of profiles; who only left the marketing counts where the manager says so."""
    answer = response.json_object()
    read = _mail_stops if speaks == "email" else _text_stops
    found = [
        receipt
        for profile in objects(answer.get("data"))
        for receipt in read(profile, is_marketing_enough)
    ]
    following = urlsplit(text(inner(answer, "links").get("next"), 5000)).query
    return StopList(tuple(found), parse_qs(following).get("page[cursor]", [""])[0])


def _mail_stops(profile: Mapping[str, Any], is_marketing_enough: bool) -> Iterator[Receipt]:
    attributes = inner(profile, "attributes")
    held = inner(attributes, "subscriptions", "email", "marketing")
    for stop in objects(held.get("suppression")):
        reason = text(stop.get("reason"))
        kind, error = _REASONS.get(reason, (None, ""))
        if reason in _MARKETING_REASONS and is_marketing_enough:
            kind = ReceiptKind.UNSUBSCRIBED
        if kind is not None:
            mailbox = text(attributes.get("email"), 320)
            yield from _stop(profile, kind, reason, error, mailbox, stop.get("timestamp"))


def _text_stops(profile: Mapping[str, Any], is_marketing_enough: bool) -> Iterator[Receipt]:
    attributes = inner(profile, "attributes")
    held = inner(attributes, "subscriptions", "sms")
    wanted = ("transactional", "marketing") if is_marketing_enough else ("transactional",)
    for name in wanted:
        consent = inner(held, name)
        if consent.get("consent") == "UNSUBSCRIBED":
            number = text(attributes.get("phone_number"))
            at = consent.get("consent_timestamp") or consent.get("last_updated")
            yield from _stop(profile, ReceiptKind.UNSUBSCRIBED, f"sms.{name}", "", number, at)


def _stop(
    profile: Mapping[str, Any],
    kind: ReceiptKind,
    code: str,
    error: str,
    recipient: str,
    stamp: object,
) -> Iterator[Receipt]:
    profile_id, at = text(profile.get("id")), moment(stamp)
    if profile_id and recipient:
        yield Receipt(
            kind=kind,
            vendor_id=profile_id,
            vendor_time=at,
            vendor_code=code[:60],
            error=error,
            event_id=f"stop:{profile_id}:{code}:{at.isoformat() if at else ''}",
            recipient=recipient,
        )


def moment(stamp: object) -> datetime | None:
    """A time with offset, in UTC; None for anything else."""
    try:
        return time(stamp, "timestamp")
    except PayloadMalformed:
        return None
