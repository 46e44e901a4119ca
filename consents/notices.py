"""The wordings people agree to, kept as they were shown."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db import IntegrityError, transaction

from consents.models import NoticeVersion


def notice_of(
    *, sender_group_id: int, key: str, language: str, text: str, now: datetime
) -> NoticeVersion:
    """The version of the notice ``key`` that says exactly ``text``; a new one when its words moved.

    Versions count per sender group, key and language and are never edited.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()
    rows = NoticeVersion.objects.filter(
        sender_group_id=sender_group_id, key=key, language=language
    ).order_by("-version")
    newest = rows.first()
    if newest is not None and newest.sha256 == digest:
        return newest
    try:
        with transaction.atomic():
            return NoticeVersion.objects.create(
                sender_group_id=sender_group_id,
                key=key,
                version=newest.version + 1 if newest else 1,
                language=language,
                text=text,
                sha256=digest,
                valid_from=now,
            )
    except IntegrityError:
        # somebody opened the page at the same moment
        return rows.get(sha256=digest)
