"""The one-process mode: web, worker, beat and sandbox together, for one restaurant or a demo."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import waitress
from celery.beat import EmbeddedService
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from config.celery import app
from config.checks import address_problems
from config.schedule import ensure_schedule
from notifications import dispatch
from notifications.models import ProviderAccount
from notifications.services import register_with_sandbox


class PortTaken(Exception):
    """Another process listens there; the text says which setting changes the port."""


def run(*, say: Callable[[str], None]) -> None:
    """Start everything and stay until SIGINT or SIGTERM; stops cleanly."""
    from config import demo
    from config.wsgi import application
    from integrations.sandbox.server import SandboxServer

    call_command("migrate", interactive=False, verbosity=0)
    ensure_schedule()
    if settings.DEMO:
        demo.ensure_demo()
    sandbox = SandboxServer()
    if settings.RUN_SANDBOX:
        try:
            sandbox.start(settings.SANDBOX_PORT)
        except OSError as error:
            raise PortTaken(
                f"port {settings.SANDBOX_PORT} is taken ({error.strerror}); set SANDBOX_PORT"
            ) from error
    web = _start_web(application)
    register_with_sandbox(ProviderAccount.objects.filter(mode="sandbox", enabled=True))
    demo.register_sources()
    # the embedded service does not read the setting and would keep its schedule in a file
    beat = EmbeddedService(app, thread=True, max_interval=1, scheduler_cls=app.conf.beat_scheduler)
    beat.start()  # type: ignore[union-attr]  # thread=True makes the threaded one
    dispatch.listeners.append(terminal_printer(say))
    stop = threading.Event()
    if settings.DEMO:
        threading.Thread(target=demo.lunch, args=(stop,), daemon=True, name="lunch").start()
    _greet(say)
    connection.close()
    try:
        _work()
    finally:
        stop.set()
        beat.stop()
        web.close()
        sandbox.stop()


def _start_web(application: Any) -> Any:
    """The web server on persistent threads: each keeps its database connection.

    Of what proxies say only the scheme and the caller count, and only behind one; all else is
    cleared. The caller is the last entry of X-Forwarded-For, the one our proxy saw itself.
    Requests are not logged: their paths carry tokens.
    """
    trusted = {"x-forwarded-proto", "x-forwarded-for"}
    proxy = {"trusted_proxy": "*", "trusted_proxy_headers": trusted}
    try:
        server = waitress.create_server(
            application,
            host=settings.HOST,
            port=settings.PORT,
            threads=settings.WEB_THREADS,
            ident="order-up",
            max_request_body_size=8 * 1024 * 1024,
            clear_untrusted_proxy_headers=True,
            **(proxy if settings.BEHIND_PROXY else {}),
        )
    except OSError as error:
        raise PortTaken(f"port {settings.PORT} is taken ({error.strerror}); set PORT") from error
    threading.Thread(target=server.run, daemon=True, name="web").start()
    return server


def _work() -> None:
    """The Celery worker in this, the main thread: it needs the signals."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # a container's only user is often root, and this worker takes no code from its broker
    warnings.filterwarnings("ignore", message="You're running the worker with superuser")
    worker = app.Worker(
        pool="threads",
        concurrency=settings.WORKER_THREADS,
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    try:
        worker.start()
    except (KeyboardInterrupt, SystemExit):
        worker.stop()


def _greet(say: Callable[[str], None]) -> None:
    from config import demo

    say(f"Order Up is running: {settings.PUBLIC_URL}")
    say(f"  sandbox wall   {settings.SANDBOX_URL}")
    login = demo.login()
    where = f"{settings.PUBLIC_URL}/admin/"
    say(f"  admin          {where}" + (f"  ({login[0]} / {login[1]})" if login else ""))
    for problem in address_problems():
        say(f"  ! {problem}")
    say("  Ctrl-C stops it; the data stay under var/")
    say("")


def terminal_printer(
    say: Callable[[str], None],
) -> Callable[[Sequence[dispatch.Sent]], None]:
    """A listener that prints one readable line per alert."""
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    paint = {"accepted": "32", "unknown": "33"} if colours else {}

    def listen(batch: Sequence[dispatch.Sent]) -> None:
        from notifications.compose import facts_of
        from notifications.selectors import restaurant_config

        for sent in batch:
            row = sent.row
            config = restaurant_config(sent.account.restaurant_id)
            zone = ZoneInfo(config.timezone)
            name = facts_of(row, config).first_name or row.audience
            what = row.milestone if row.kind == "status_changed" else row.kind
            outcome = sent.outcome
            if outcome in paint or colours:
                outcome = f"\033[{paint.get(sent.outcome, '31')}m{outcome}\033[0m"
            to = row.masked or sent.account.name
            number = f"#{row.display}" if row.display else "-"
            mode = " (sandbox)" if sent.account.mode == "sandbox" else ""
            say(
                f"{datetime.now(zone):%H:%M:%S} {number:<6} {what:<16} -> {name:<8} "
                f"{row.channel:<9} {to:<18} {outcome} {sent.account.provider}{mode} "
                f"{sent.duration_ms} ms"
            )

    return listen
