"""The answers of a poll, applied like calls: one bad order does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import DataError, InterfaceError, OperationalError

from integrations.contracts import FollowUp, HttpResponse, OrderUpdate, Source
from integrations.errors import PayloadMalformed
from orders import intake
from orders.models import SourceAccount
from orders.vendor_answers import Trouble, trouble_in

logger = logging.getLogger(__name__)

#: longest text of SourceAccount.poll_error
ERROR_CHARS = 200
#: an order that was asked about may be gone at the vendor: that is no trouble of the account
_GONE = frozenset({404, 410})


class Page(NamedTuple):
    """What became of one answer."""

    #: it could be read, whatever became of its orders
    is_read: bool
    troubles: list[Trouble]


def take_page(
    account: SourceAccount, source: Source, answer: HttpResponse | BaseException, at: datetime
) -> Page:
    """Apply the orders of one page."""
    return _take(account, source, answer, at, lambda page: source.parse_poll(page, at))


def take_orders(
    account: SourceAccount,
    source: Source,
    asked: Sequence[FollowUp],
    answers: Sequence[HttpResponse | BaseException],
    at: datetime,
) -> list[Trouble]:
    """Apply what was answered about single orders."""
    found: list[Trouble] = []
    for question, answer in zip(asked, answers, strict=True):
        if isinstance(answer, HttpResponse) and answer.status in _GONE:
            continue

        def parse(page: HttpResponse, question: FollowUp = question) -> list[OrderUpdate]:
            return source.parse_resource(question, page, at)

        found += _take(account, source, answer, at, parse).troubles
    return found


def log_incomplete(account: SourceAccount) -> None:
    """A poll found trouble."""
    logger.warning("orders.poll_incomplete", extra={"account_id": account.pk})


def _take(
    account: SourceAccount,
    source: Source,
    answer: HttpResponse | BaseException,
    at: datetime,
    parse: Callable[[HttpResponse], Iterable[OrderUpdate]],
) -> Page:
    try:
        trouble = trouble_in(answer, source.key)
        if trouble is not None or not isinstance(answer, HttpResponse):
            return Page(False, [trouble] if trouble else [])
        updates = list(parse(answer))
    except PayloadMalformed as problem:
        return Page(False, [Trouble(f"the answer cannot be read: {problem}")])
    except Exception as bug:
        logger.exception("orders.poll_failed", extra={"account_id": account.pk})
        return Page(False, [Trouble(f"our mistake: {type(bug).__name__}")])
    # by order, as calls do: two batches lock the same orders in the same sequence
    in_order = sorted(updates, key=lambda update: update.order_id)
    ends = [_apply(account, update, at) for update in in_order]
    return Page(True, [Trouble(end) for end in dict.fromkeys(ends) if end])


def _apply(account: SourceAccount, update: OrderUpdate, at: datetime) -> str:
    """Apply one update in a transaction of its own; "" or what went wrong."""
    try:
        applied = intake.apply_update(account=account, update=update, call=None, received_at=at)
    except DataError:
        return "a value is too large"
    except (OperationalError, InterfaceError):
        raise
    except Exception as bug:
        logger.exception("orders.poll_failed", extra={"account_id": account.pk})
        return f"our mistake: {type(bug).__name__}"
    if applied.outcome == "quarantined":
        logger.warning("orders.poll_quarantined", extra={"account_id": account.pk})
        return applied.cause
    return ""
