"""The measurements themselves."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import psutil
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.bench.load import EVENT_SECRET, TWILIO, Stage, queue_messages, unfinished
from config.bench.yardstick import send_one
from integrations.contracts import basic_auth
from notifications import dispatch, outbox
from notifications.flight import Job
from notifications.models import Delivery


def sandbox(path: str, body: dict[str, Any]) -> None:
    """Turn a knob of the sandbox."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{settings.SANDBOX_URL}/_sandbox/{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - loopback
        pass


def _until_empty(stage: Stage, limit_s: float) -> None:
    until = time.monotonic() + limit_s
    while unfinished(stage):
        if time.monotonic() > until:
            raise TimeoutError(f"{unfinished(stage)} messages were not accepted in {limit_s:.0f} s")
        time.sleep(0.02)


def _rate(stage: Stage, count: int, start: Callable[[], None], limit_s: float) -> float:
    queue_messages(stage, count)
    began = time.perf_counter()
    start()
    _until_empty(stage, limit_s)
    return count / (time.perf_counter() - began)


def dispatch_rate(stage: Stage, count: int, workers: int) -> float:
    """Messages a second of our dispatch; one bell per worker, as traffic would ring them."""
    return _rate(stage, count, lambda: outbox.ring([stage.account.pk] * workers), 120)


def drain_rate(stage: Stage, count: int, *, asks: bool) -> float:
    """Messages a second of one process; without asking consent again, to know what that costs."""
    with mock.patch.object(dispatch, "_ask", dispatch._ask if asks else _let_all_go):
        return _rate(stage, count, lambda: _drain(stage), 120)


def _drain(stage: Stage) -> None:
    dispatch.dispatch_account(account_id=stage.account.pk)


def _let_all_go(jobs: Sequence[Job], *_: object) -> dispatch.Asked:
    return dispatch.Asked(allowed=list(jobs), basis=["{}"] * len(jobs))


def yardstick_rate(stage: Stage, count: int) -> float:
    """Messages a second of one Celery task per message."""

    def start() -> None:
        ids = Delivery.objects.filter(account=stage.account, state="queued").values_list(
            "pk", flat=True
        )
        for delivery_id in list(ids):
            send_one.delay(delivery_id)

    return _rate(stage, count, start, 300)


def bare_rate(count: int, in_flight: int) -> float:
    """Requests a second of a plain aiohttp loop that posts the same form."""
    url = f"{settings.SANDBOX_URL}/twilio/2010-04-01/Accounts/{TWILIO['account_sid']}/Messages.json"
    form = {
        "To": "+12025550143",
        "From": TWILIO["sender"],
        "Body": "Bench Bowls: order 10042 is ready for pickup at One. http://127.0.0.1/o/x/",
        "StatusCallback": "http://127.0.0.1/hooks/messages/x/?a=y",
        "ValidityPeriod": "1800",
    }
    headers = {"Authorization": basic_auth(TWILIO["account_sid"], TWILIO["auth_token"])}

    async def go() -> float:
        gate = asyncio.Semaphore(in_flight)
        async with aiohttp.ClientSession(headers=headers) as session:

            async def post() -> None:
                async with gate, session.post(url, data=form) as answer:
                    await answer.read()
                    if answer.status != 201:
                        raise RuntimeError(f"the sandbox answered {answer.status}")

            began = time.perf_counter()
            await asyncio.gather(*(post() for _ in range(count)))
            return count / (time.perf_counter() - began)

    return asyncio.run(go())


def cloud_event(order: str, sequence: int, state: str, **more: Any) -> bytes:
    """A structured event in the public order-update shape."""
    return json.dumps(
        {
            "specversion": "1.0",
            "type": "com.example.order.transition",
            "source": "https://pos.example.com/bench",
            "id": f"{order}-{sequence}",
            "time": datetime.now(UTC).isoformat(),
            "subject": f"orders/{order}",
            "sequence": str(sequence),
            "data": {
                "order": {"id": order, "display": order[-6:]},
                "location": {"id": "BENCH"},
                "state": state,
                **more,
            },
        }
    ).encode()


def signed(body: bytes) -> dict[str, str]:
    """The headers of a signed event."""
    stamp = str(int(time.time()))
    digest = hmac.new(EVENT_SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256)
    return {
        "Content-Type": "application/cloudevents+json",
        "X-Alert-Signature": f"t={stamp},v1={digest.hexdigest()}",
    }


GUEST = {"name": "Ana Bench", "phone": "+12025550143", "contact_kind": "direct"}


def latencies(stage: Stage, base_url: str, *, per_s: int, seconds: int) -> list[float]:
    """Milliseconds from an update's POST to the vendor request on the wire, urgent kind."""
    sandbox("settings", {"record": True, "receipts": False})
    url = f"{base_url}/hooks/orders/{stage.source.token}/"
    posted: dict[str, float] = {}
    lock = threading.Lock()

    def post(order: str, sequence: int, state: str) -> None:
        body = cloud_event(order, sequence, state, customer=GUEST)
        request = urllib.request.Request(url, data=body, headers=signed(body))  # noqa: S310
        if state == "ready":
            with lock:
                posted[order[-6:]] = time.time()
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - loopback
            pass

    total = per_s * seconds
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: post(f"lat-{n:06d}", 1, "preparing"), range(20)))
        began = time.perf_counter()
        for n in range(total):
            pause = began + n / per_s - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
            pool.submit(post, f"lat-{100_000 + n:06d}", 1, "ready")
    return _arrivals(posted, total)


def _arrivals(posted: dict[str, float], total: int) -> list[float]:
    until = time.monotonic() + 20
    found: dict[str, float] = {}
    while len(found) < total and time.monotonic() < until:
        time.sleep(0.2)
        with urllib.request.urlopen(  # noqa: S310 - loopback
            f"{settings.SANDBOX_URL}/_sandbox/messages?vendor=twilio", timeout=10
        ) as answer:
            for message in json.load(answer)["messages"]:
                number = message["order"].lstrip("#")
                if number in posted:
                    at = datetime.fromisoformat(message["at"]).timestamp()
                    found.setdefault(number, (at - posted[number]) * 1000)
    if len(found) < total:
        raise TimeoutError(f"only {len(found)} of {total} alerts reached the vendor")
    return sorted(found.values())


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of the sorted values lie."""
    return values[min(len(values) - 1, int(len(values) * share))]


def intake_figures(stage: Stage, count: int) -> dict[str, float]:
    """Updates a second through the real endpoint in this process, and queries per update."""
    client = Client()
    path = f"/hooks/orders/{stage.source.token}/"

    def post(order: str, sequence: int, state: str) -> None:
        body = cloud_event(order, sequence, state, customer=GUEST)
        headers = signed(body)
        answer = client.post(
            path,
            data=body,
            content_type=headers["Content-Type"],
            headers={"X-Alert-Signature": headers["X-Alert-Signature"]},
        )
        if answer.status_code not in (200, 202):
            raise RuntimeError(f"intake answered {answer.status_code}: {answer.content[:200]!r}")

    for n in range(20):
        post(f"warm-{n}", 1, "preparing")
    began = time.perf_counter()
    for n in range(count):
        post(f"in-{n}", 1, "preparing")
    first = count / (time.perf_counter() - began)
    began = time.perf_counter()
    for n in range(count):
        post(f"in-{n}", 2, "ready")
    rate = count / (time.perf_counter() - began)
    post("counted", 1, "preparing")
    with CaptureQueriesContext(connection) as queries:
        post("counted", 2, "ready")
    return {
        "rate": round(rate, 1),
        "rate_new_orders": round(first, 1),
        # the frame of a transaction is no question to the database
        "queries": len([q for q in queries if not q["sql"].startswith(("BEGIN", "COMMIT"))]),
    }


def memory_mib(pid: int) -> float:
    """Resident memory of a process and its children, without PostgreSQL."""
    root = psutil.Process(pid)
    family = [root, *root.children(recursive=True)]
    rss: int = sum(p.memory_info().rss for p in family if "postgres" not in p.name())
    return round(rss / 2**20, 1)


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((li.partition(":")[2].strip() for li in lines if "model name" in li), "")
    return {
        "cpu": model,
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_1min": round(psutil.getloadavg()[0], 2),
    }


def spread(values: list[float]) -> str:
    """min / median / max for the table."""
    return f"{min(values):.0f} / {statistics.median(values):.0f} / {max(values):.0f}"
