"""Celery tasks: thin, without arguments, safe to run twice."""

from __future__ import annotations

from datetime import UTC, datetime

from celery import shared_task

from consents import (
    checkpoints,
    erasure,
    exports,
    importing,
    link_requests,
    manage_links,
    opt_ins,
    rates,
    retention,
)


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


@shared_task(name="consents.run_imports", queue="default", acks_late=True)
def run_imports(**_: object) -> int:
    """Take over the lists that were handed in; a run that was killed is finished."""
    now = datetime.now(UTC)
    return len(
        [importing.run_import(import_id=pk, now=now) for pk in importing.unfinished_imports()]
    )


@shared_task(name="consents.carry_on_requests", queue="default", acks_late=True)
def carry_on_requests(**_: object) -> dict[str, int]:
    """Take exports and erasures as far as they go now."""
    now = datetime.now(UTC)
    return {"exports": exports.build_exports(now), **erasure.carry_on_erasures(now)}


@shared_task(name="consents.sign_checkpoint", queue="default", acks_late=True)
def sign_checkpoint(**_: object) -> bool:
    """Sign the ends of the ledger's chains, once a night."""
    return checkpoints.make_due_checkpoint(datetime.now(UTC)) is not None


@shared_task(name="consents.apply_retention", queue="default", acks_late=True)
def apply_retention(**_: object) -> dict[str, int]:
    """Clear what is past its term, once a night."""
    done = retention.run_due(datetime.now(UTC))
    return done.counts if done else {}
