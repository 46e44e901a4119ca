"""manage.py bench: measure, print a table, write var/bench.json."""

from __future__ import annotations

import json
import os
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config.bench import load, processes, scenes
from config.celery import app
from config.schedule import ensure_schedule


class Command(BaseCommand):
    help = "Measure dispatch, latency, intake and memory (BENCH=full: longer)."

    def handle(self, *args: Any, **options: Any) -> None:
        if "bench" not in str(settings.VAR_DIR):
            raise CommandError("Run 'make bench': it uses a database of its own, var/bench.")
        full = os.environ.get("BENCH") == "full"
        call_command("migrate", interactive=False, verbosity=0)
        ensure_schedule()
        results = _measure(full, lambda line: print(line, flush=True))
        target = Path(settings.BASE_DIR) / "var" / "bench.json"
        target.write_text(json.dumps(results, indent=1))
        print(f"\nwritten to {target.relative_to(settings.BASE_DIR)}")


def _measure(full: bool, say: Any) -> dict[str, Any]:
    count, rounds = (20_000, 5) if full else (4_000, 3)
    with ExitStack() as stack:
        port = processes.free_port()
        settings.SANDBOX_URL = f"http://127.0.0.1:{port}"
        sandbox_env = {"SANDBOX_PORT": str(port), "SANDBOX_URL": settings.SANDBOX_URL}
        stack.enter_context(
            processes.process(["-m", "integrations.sandbox", "--port", str(port)], env={})
        )
        processes.wait_for(f"{settings.SANDBOX_URL}/_sandbox/health")
        stage = load.build_stage()
        scenes.sandbox("accounts", {"vendor": "twilio", "settings": load.TWILIO})
        consent = _consent(stage, count, rounds, say)
        dispatch = _dispatch(stage, count, rounds, sandbox_env, say)
        intake = scenes.intake_figures(stage, 2_000 if full else 400)
        say(f"{'intake, updates/s':34}{intake['rate']:>10}   queries {intake['queries']}")
        latency, memory = _latency(stage, full, sandbox_env, say)
    return {
        "dispatch": dispatch,
        "consent": consent,
        "latency_ms": latency,
        "intake": intake,
        "memory_mib": memory,
        "machine": scenes.machine(),
    }


def _consent(stage: load.Stage, count: int, rounds: int, say: Any) -> dict[str, float]:
    """What asking consent again under lock costs, turn by turn in one process."""
    scenes.sandbox("settings", {"record": False, "receipts": False})
    scenes.drain_rate(stage, 500, asks=True)
    asking: list[float] = []
    trusting: list[float] = []
    for turn in range(rounds * 3):
        # who goes first changes: whatever grows during a run costs both the same
        for asks in (True, False) if turn % 2 else (False, True):
            (asking if asks else trusting).append(scenes.drain_rate(stage, count // 2, asks=asks))
    # pairs of one moment: what slows a machine down for a while slows both
    share = 1 - statistics.median(a / t for a, t in zip(asking, trusting, strict=True))
    say(f"{'consent asked again costs':34}{share:>10.1%} of throughput")
    return {
        "rate": round(statistics.median(asking), 1),
        "rate_without_asking": round(statistics.median(trusting), 1),
        "cost": round(share, 3),
    }


def _dispatch(
    stage: load.Stage, count: int, rounds: int, env: dict[str, str], say: Any
) -> dict[str, Any]:
    """Ours, the yardstick and the bare loop, turn by turn in one run."""
    broker = processes.redis_url()
    workers = 2
    scenes.sandbox("settings", {"record": False, "receipts": False})
    worker_env = {**env, "CELERY_BROKER_URL": broker, "VAR_DIR": str(settings.VAR_DIR)}
    ours: list[float] = []
    theirs: list[float] = []
    bare: list[float] = []
    if not broker:
        raise CommandError(
            "The comparison needs a broker between processes: start Redis on 127.0.0.1:6379 "
            "or set CELERY_BROKER_URL."
        )
    # Celery asks the environment before its configuration
    os.environ["CELERY_BROKER_URL"] = broker
    with processes.process(
        ["-m", "celery", "-A", "config.bench.worker", "worker", "-P", "prefork",
         "-c", str(workers), "-l", "WARNING", "--without-gossip", "--without-mingle"],
        env=worker_env,
    ):  # fmt: skip
        app.control.purge()
        scenes.dispatch_rate(stage, 200, workers)
        scenes.yardstick_rate(stage, 50)
        for _ in range(rounds):
            ours.append(scenes.dispatch_rate(stage, count, workers))
            theirs.append(scenes.yardstick_rate(stage, max(300, count // 10)))
            bare.append(scenes.bare_rate(count, settings.DISPATCH_IN_FLIGHT))
    rate = statistics.median(ours)
    say(f"{'messages/s':34}{'min / median / max':>10}")
    say(f"{'  our dispatch':34}{scenes.spread(ours)}")
    say(f"{'  one Celery task per message':34}{scenes.spread(theirs)}")
    say(f"{'  bare aiohttp loop':34}{scenes.spread(bare)}")
    return {
        "rate": round(rate, 1),
        "vs_task_per_message": round(rate / statistics.median(theirs), 2),
        "vs_bare_loop": round(rate / statistics.median(bare), 3),
        "task_per_message_rate": round(statistics.median(theirs), 1),
        "bare_loop_rate": round(statistics.median(bare), 1),
        "broker": "redis",
        "workers": workers,
    }


def _latency(
    stage: load.Stage, full: bool, env: dict[str, str], say: Any
) -> tuple[dict[str, float], dict[str, float]]:
    port = processes.free_port()
    base = f"http://127.0.0.1:{port}"
    run_env = {
        **env,
        "PORT": str(port),
        "PUBLIC_URL": base,
        "DEMO": "0",
        "RUN_SANDBOX": "0",
        "CELERY_BROKER_URL": "memory://",
        "VAR_DIR": str(settings.VAR_DIR),
    }
    with processes.process(["manage.py", "run"], env=run_env) as server:
        processes.wait_for(f"{base}/healthz")
        time.sleep(3)
        idle = scenes.memory_mib(server.pid)
        values = scenes.latencies(stage, base, per_s=50, seconds=30 if full else 8)
        busy = scenes.memory_mib(server.pid)
    latency = {
        "p50": round(scenes.percentile(values, 0.50), 1),
        "p95": round(scenes.percentile(values, 0.95), 1),
        "p99": round(scenes.percentile(values, 0.99), 1),
        "updates_per_s": 50,
        "alerts": len(values),
    }
    say(f"{'update POST -> vendor request, ms':34}p50 {latency['p50']}  p99 {latency['p99']}")
    say(f"{'one process, idle memory, MiB':34}{idle}")
    return latency, {"one_process_idle": idle, "one_process_busy": busy}
