"""Consent receipts in the terms of ISO/IEC TS 27560:2023, rendered from rows of the ledger.

Nothing is stored: a receipt is what the row says, with the wording it names and the hash that
proves it was not changed since.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from consents import ledger
from consents.models import ConsentEvent, NoticeVersion, SenderGroup

SCHEMA = "ISO/IEC TS 27560:2023"


def consent_receipts(events: Iterable[ConsentEvent]) -> list[dict[str, Any]]:
    """A receipt for each row, in their order."""
    rows = list(events)
    notices = NoticeVersion.objects.in_bulk({row.notice_version_id for row in rows} - {None})
    groups = SenderGroup.objects.in_bulk({row.sender_group_id for row in rows})
    return [_receipt(row, notices, groups[row.sender_group_id]) for row in rows]


def _receipt(
    event: ConsentEvent, notices: dict[Any, NoticeVersion], group: SenderGroup
) -> dict[str, Any]:
    notice = notices.get(event.notice_version_id)
    return {
        "schema_version": SCHEMA,
        "record_id": str(event.id),
        "pii_principal_id": str(event.subject_ref) if event.subject_ref else event.address_hash,
        "pii_controllers": [
            {
                "name": group.name,
                "country": group.country,
                "address": group.postal_address,
                "phone": group.phone,
                "privacy_policy": group.privacy_url,
            }
        ],
        "privacy_notice": {
            "key": notice.key,
            "version": notice.version,
            "text": notice.text,
            "sha256": notice.sha256,
        }
        if notice
        else None,
        "language": event.language,
        "purposes": [
            {
                "purpose": event.purpose,
                "lawful_basis": event.lawful_basis,
                "channel": event.channel,
                "scope": event.scope,
                "validity_duration": event.valid_until.isoformat() if event.valid_until else None,
                "jurisdiction": event.jurisdiction,
                "policy_version": event.policy_version,
            }
        ],
        "events": [
            {
                "event_type": event.action,
                "event_time": event.occurred_at.isoformat(),
                "recorded_time": event.recorded_at.isoformat(),
                "reason": event.reason,
                "collection_method": event.source,
                "entity": event.actor_type,
            }
        ],
        "integrity": {
            "previous": event.prev_hash,
            "sha256": event.row_hash,
            "holds": ledger.row_hash(event) == event.row_hash,
        },
    }
