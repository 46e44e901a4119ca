"""Asking a vendor whether a message of unknown outcome arrived, where it can be asked."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from consents.encryption import DecryptionFailed
from integrations.contracts import Accepted
from integrations.errors import ConfigurationError, IntegrationError
from integrations.http import http_door, run
from notifications import compose
from notifications.dispatch import load_rows
from notifications.links import LinkGone
from notifications.models import Attempt, Delivery, DeliveryState
from notifications.rendering import TemplateInvalid
from notifications.selectors import account_by_id, provider_for, restaurant_config

logger = logging.getLogger(__name__)

#: the vendor needs a moment before its own list shows a message
FIRST_ASKED_AFTER = timedelta(seconds=5)
BATCH = 20


def resolve_unknown(now: datetime) -> int:
    """Ask about fresh unknown outcomes; returns how many turned out to be accepted.

    Only a yes is believed. The vendor finds messages by their words, and ours may have changed
    since, so "not found" proves nothing and the kind's policy decides later.
    """
    found = 0
    rows = Delivery.objects.filter(
        state=DeliveryState.UNKNOWN,
        reason="outcome_unknown",
        settled_at__lt=now - FIRST_ASKED_AFTER,
    ).values_list("pk", "account_id", "attempt")[:BATCH]
    for delivery_id, account_id, attempt_id in rows:
        accepted = _ask(delivery_id, account_id, attempt_id)
        if accepted is not None:
            found += Delivery.objects.filter(
                pk=delivery_id, state=DeliveryState.UNKNOWN, attempt=attempt_id
            ).update(
                state=DeliveryState.ACCEPTED,
                reason="found_at_vendor",
                vendor_id=accepted.vendor_id,
                settled_at=now,
            )
    return found


def _ask(delivery_id: int, account_id: int, attempt_id: UUID | None) -> Accepted | None:
    account = account_by_id(account_id)
    if account is None or attempt_id is None:
        return None
    try:
        provider = provider_for(account)
        attempt = Attempt.objects.filter(pk=attempt_id).first()
        loaded = load_rows([delivery_id], account)
        if attempt is None or not loaded or not provider.capabilities.look_up:
            return None
        message, _ = compose.message(
            loaded[0],
            config=restaurant_config(account.restaurant_id),
            account=account,
            attempt_id=attempt_id,
            now=attempt.started_at,
        )
        request = provider.look_up(message)
        if request is None:
            return None
        response = run(provider.exchange(request, http_door()))
        return provider.looked_up(message, response)
    except (
        IntegrationError,
        ConfigurationError,
        TemplateInvalid,
        compose.NoWords,
        LinkGone,
        DecryptionFailed,
    ) as error:
        logger.info("lookup.no_answer", extra={"delivery_id": delivery_id, "why": str(error)})
        return None
