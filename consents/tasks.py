"""Celery tasks: thin, without arguments, safe to run twice."""

from __future__ import annotations

from datetime import UTC, datetime

from celery import shared_task

from consents import link_requests, manage_links, opt_ins, rates


@shared_task(name="consents.answer_link_requests", queue="default", acks_late=True)
def answer_link_requests(**_: object) -> int:
    """Answer what people typed on public pages."""
    return link_requests.answer_all(datetime.now(UTC))


@shared_task(name="consents.keep_opt_ins", queue="default", acks_late=True)
def keep_opt_ins(**_: object) -> dict[str, int]:
    """Remind and end open opt-ins; forget dead links and old counts."""
    now = datetime.now(UTC)
    kept = opt_ins.remind_and_expire(now)
    return {**kept, "links": manage_links.forget_links(now), "counts": rates.forget_counts(now)}
