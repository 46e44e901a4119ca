"""Is it alive, is it working: for load balancers, supervisors and Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from notifications.models import Heartbeat

#: the sweep runs every 3 s; older than this it is not running
SWEEP_LIMIT = timedelta(seconds=30)

_COUNTS = """
SELECT
  (SELECT count(*) FROM notifications_delivery WHERE state = 'queued' AND due_at <= now()),
  (SELECT coalesce(extract(epoch FROM now() - min(due_at)), 0) FROM notifications_delivery
    WHERE state = 'queued' AND due_at <= now()),
  (SELECT count(*) FROM notifications_delivery
    WHERE state IN ('claimed', 'sending') AND lease_until < now()),
  (SELECT count(*) FROM notifications_delivery WHERE state IN ('failed', 'unknown')
    AND created_at > now() - interval '1 day'),
  (SELECT count(*) FROM orders_inboundcall WHERE state IN ('received', 'waiting')),
  (SELECT count(*) FROM orders_inboundcall WHERE state IN ('quarantined', 'failed')),
  (SELECT count(*) FROM notifications_provideraccount WHERE stopped_reason <> '' AND enabled)
"""
_NAMES = (
    "order_up_deliveries_due",
    "order_up_oldest_due_seconds",
    "order_up_leases_expired",
    "order_up_dead_letters_1d",
    "order_up_calls_unread",
    "order_up_calls_quarantined",
    "order_up_accounts_stopped",
)


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers and the sweep is running; 503 names what does not."""
    problems = []
    try:
        beat = Heartbeat.objects.filter(name="sweep").first()
    except OperationalError:
        return JsonResponse({"ready": False, "problems": ["the database is away"]}, status=503)
    if beat is None or beat.at < datetime.now(UTC) - SWEEP_LIMIT:
        problems.append("the sweep has not run for 30 s: is a worker with beat running?")
    return JsonResponse(
        {"ready": not problems, "problems": problems}, status=503 if problems else 200
    )


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text: queue depth and age, dead letters, quarantine, heartbeats."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS)
        values = cursor.fetchone()
    lines = [f"{name} {float(value):g}" for name, value in zip(_NAMES, values, strict=True)]
    now = datetime.now(UTC)
    lines += [
        f'order_up_heartbeat_age_seconds{{name="{beat.name}"}} {(now - beat.at).total_seconds():g}'
        for beat in Heartbeat.objects.all()
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4")
