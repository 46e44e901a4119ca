"""What happens without anybody calling. Every task is safe to run twice and at the same time."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from orders import calls, eta_watch, follow_ups, idempotency, parking, polling, silence

QUEUE = "default"


@shared_task(name="orders.fetch_follow_ups", queue=QUEUE, acks_late=True)
def fetch_follow_ups(**_: object) -> int:
    """Fetch the orders thin events pointed at."""
    return follow_ups.fetch_due(now=timezone.now())


@shared_task(name="orders.apply_stored_calls", queue=QUEUE, acks_late=True)
def apply_stored_calls(**_: object) -> int:
    """Read calls a crash left unread."""
    return calls.recover_calls(now=timezone.now())


@shared_task(name="orders.watch_estimates", queue=QUEUE, acks_late=True)
def watch_estimates(**_: object) -> int:
    """Raise delays nobody stated."""
    return eta_watch.watch_estimates(now=timezone.now())


@shared_task(name="orders.poll_sources", queue=QUEUE, acks_late=True)
def poll_sources(**_: object) -> int:
    """Ask the sources for what their webhooks may have lost."""
    return polling.poll_sources(now=timezone.now())


@shared_task(name="orders.watch_feeds", queue=QUEUE, acks_late=True)
def watch_feeds(**_: object) -> int:
    """Notice sources that stopped talking."""
    return silence.watch_feeds(now=timezone.now())


@shared_task(name="orders.drop_parked_updates", queue=QUEUE, acks_late=True)
def drop_parked_updates(**_: object) -> int:
    """Give up courier news that found no order."""
    return parking.drop_parked(now=timezone.now())


@shared_task(name="orders.forget_answers", queue=QUEUE, acks_late=True)
def forget_answers(**_: object) -> int:
    """Drop stored API answers that nobody may replay any more."""
    return idempotency.delete_expired_calls(now=timezone.now())
