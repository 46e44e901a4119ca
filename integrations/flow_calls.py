"""Calls that a manager's own workflow at a vendor makes to us, to say how far a message came.

They are not signed: the manager types a key of the account into a header of the call. What they
carry is one JSON object: ``{"attempt_id": "...", "kind": "sent"}``, the attempt id being one of
the values we gave the workflow.
"""

from __future__ import annotations

from collections.abc import Mapping

from integrations.contracts import InboundCall, Receipt, ReceiptKind
from integrations.errors import PayloadMalformed, RecipientUnreachable
from integrations.payloads import load_object, text
from integrations.signatures import require_value

HEADER = "X-Order-Up-Key"
#: what a workflow may say -> the receipt it stands for and its word of errors.py
_KINDS: Mapping[str, tuple[ReceiptKind, str]] = {
    "sent": (ReceiptKind.SENT, ""),
    "delivered": (ReceiptKind.DELIVERED, ""),
    "read": (ReceiptKind.READ, ""),
    "clicked": (ReceiptKind.CLICKED, ""),
    "failed": (ReceiptKind.FAILED, ""),
    "bounced": (ReceiptKind.BOUNCED, RecipientUnreachable.code),
    "unsubscribed": (ReceiptKind.UNSUBSCRIBED, ""),
}


def is_flow_call(call: InboundCall) -> bool:
    """Whether ``call`` claims to be one; it still has to show the right key."""
    return HEADER.lower() in call.headers


def require_key(call: InboundCall, *keys: str) -> None:
    """Raise SignatureInvalid unless ``call`` shows one of ``keys``; empty ones open nothing."""
    given = call.headers.get(HEADER.lower(), "")
    require_value(header=HEADER, given=given, allowed=keys, what="workflow key")


def read_flow_call(call: InboundCall) -> list[Receipt]:
    """The receipt in a verified call; raises PayloadMalformed. Saying it again changes nothing."""
    body = load_object(call.body)
    attempt = text(body.get("attempt_id"), 100)
    if not attempt:
        raise PayloadMalformed("attempt_id: missing; the workflow must hand back the one it got")
    word = text(body.get("kind"), 40).lower() or "sent"
    if word not in _KINDS:
        raise PayloadMalformed(f"kind: expected one of {', '.join(_KINDS)}")
    kind, error = _KINDS[word]
    return [Receipt(kind=kind, attempt_id=attempt, error=error, event_id=f"flow:{attempt}:{word}")]
