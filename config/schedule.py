"""The periodic tasks. Rows are created when missing; a manager's interval survives a deploy."""

from __future__ import annotations

from django_celery_beat.models import IntervalSchedule, PeriodicTask

#: name -> (task, seconds)
SCHEDULE: dict[str, tuple[str, int]] = {
    "sweep the outbox": ("notifications.sweep", 3),
    "apply stored calls": ("orders.apply_stored_calls", 5),
    "fetch follow-ups": ("orders.fetch_follow_ups", 2),
    "watch estimates": ("orders.watch_estimates", 15),
    "poll sources": ("orders.poll_sources", 60),
    "watch feeds": ("orders.watch_feeds", 300),
    "drop parked updates": ("orders.drop_parked_updates", 3600),
    "tell vendors' lists": ("notifications.tell_vendor_lists", 30),
    "read vendors' lists": ("notifications.read_vendor_lists", 3600),
    "check quiet team chats": ("notifications.run_self_tests", 1200),
    "answer link requests": ("consents.answer_link_requests", 5),
    "keep opt-ins": ("consents.keep_opt_ins", 600),
    "take over lists of consents": ("consents.run_imports", 10),
    "carry on rights requests": ("consents.carry_on_requests", 10),
    "clear what is past its term": ("consents.apply_retention", 3600),
    "sign the ledger": ("consents.sign_checkpoint", 3600),
    "forget stored API answers": ("orders.forget_answers", 3600),
}


def ensure_schedule() -> None:
    """Create missing periodic tasks; of existing ones only the task path is ever changed."""
    for name, (task, seconds) in SCHEDULE.items():
        interval, _ = IntervalSchedule.objects.get_or_create(
            every=seconds, period=IntervalSchedule.SECONDS
        )
        row, is_new = PeriodicTask.objects.get_or_create(
            name=name, defaults={"task": task, "interval": interval}
        )
        if not is_new and row.task != task:
            row.task = task
            row.save(update_fields=["task"])
