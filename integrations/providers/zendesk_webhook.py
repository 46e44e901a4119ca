"""What a Zendesk trigger posts to us: a comment on a ticket, signed.

We say in the trigger what its body holds (zendesk.md has it ready to paste). The signature covers
timestamp and body, so both are believed; the other headers are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from integrations.contracts import Channel, InboundCall, Reply
from integrations.errors import PayloadMalformed, SignatureInvalid
from integrations.payloads import load_object, sha256, text, time
from integrations.signatures import hmac_base64, is_same, require_hmac
from integrations.tickets import mailbox, said_words, ticket_of

#: signs what the "Test webhook" button sends before a webhook is saved; anybody knows it
PUBLIC_TEST_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="  # noqa: S105 - public
MAX_AGE_S = 300
_SIGNATURE = "x-zendesk-webhook-signature"
_STAMP = "x-zendesk-webhook-signature-timestamp"
_INVOCATION = "x-zendesk-webhook-invocation-id"
_EVENTS = frozenset({"", "customer_reply", "ticket_created"})


def verified(call: InboundCall, secrets: Iterable[str]) -> datetime:
    """When Zendesk made ``call``; raises SignatureInvalid unless it is Zendesk's and new."""
    given = [secret.strip() for secret in secrets if secret and secret.strip()]
    if any(is_same(secret, PUBLIC_TEST_SECRET) for secret in given):
        raise SignatureInvalid("the account's signing secret is the one anybody knows")
    stamp = call.headers.get(_STAMP, "")
    if not stamp:
        raise SignatureInvalid("header X-Zendesk-Webhook-Signature-Timestamp is missing")
    signature = call.headers.get(_SIGNATURE, "")
    moment = stamp.encode("utf-8", "surrogatepass")
    try:
        require_hmac(
            header="X-Zendesk-Webhook-Signature",
            given=signature,
            secrets=given,
            message=moment + call.body,
            encode=hmac_base64,
        )
    except SignatureInvalid as refused:
        raise SignatureInvalid(_why(refused.hint, signature, call, moment)) from None
    return _fresh(stamp, call.received_at)


def _why(hint: str, signature: str, call: InboundCall, moment: bytes) -> str:
    if is_same(signature, hmac_base64(PUBLIC_TEST_SECRET, moment + call.body)):
        return "made with Zendesk's public test secret: save the webhook, then test it"
    return hint


def _fresh(stamp: str, received_at: datetime) -> datetime:
    try:
        at = time(stamp, "timestamp")
    except PayloadMalformed:
        at = None
    if at is None:
        raise SignatureInvalid("X-Zendesk-Webhook-Signature-Timestamp is not a time")
    age_s = (received_at - at).total_seconds()
    if abs(age_s) > MAX_AGE_S:
        raise SignatureInvalid(f"the signature is {round(age_s)} s old")
    return at


def read_reply(call: InboundCall, signed_at: datetime) -> Reply | None:
    """The requester's own words; None for anybody else's, ours above all.

    Raises PayloadMalformed where the trigger's body lacks what tells them apart.
    """
    if not call.body.strip():
        return None
    body = load_object(call.body, loose=True)
    if text(body.get("type")).startswith("zen:event-type:"):
        raise PayloadMalformed(
            "this webhook subscribes to events, which name no mailbox; connect one to a trigger"
        )
    event, ticket = text(body.get("event")), ticket_of(text(body.get("ticket_id")))
    if event not in _EVENTS:
        return None
    if not ticket:
        raise PayloadMalformed("ticket_id: not the number of a ticket")
    author = mailbox(text(body.get("author_email"), 255))
    requester = mailbox(text(body.get("requester_email"), 255))
    if "author_email" not in body:
        raise PayloadMalformed("author_email: missing; it tells a guest's words from ours")
    if not requester or author.casefold() != requester.casefold():
        return None
    said = said_words(body.get("text"))
    if event == "ticket_created":
        said = f"{text(body.get('subject'), 300)}\n{said}".strip()
    return Reply(
        channel=Channel.HELPDESK,
        sender=requester,
        text=said[:10_000],
        vendor_id=f"{ticket}:{_event_key(call, text(body.get('updated_at')))[:40]}",
        occurred_at=signed_at,
        thread=ticket,
    )


def _event_key(call: InboundCall, updated_at: str) -> str:
    """The same for a repeated call: its body, where that says when the ticket was updated."""
    if updated_at:
        return sha256(call.body)
    invocation = call.headers.get(_INVOCATION, "") or call.headers.get(_STAMP, "")
    return sha256(call.body + invocation.encode("utf-8", "surrogatepass"))
