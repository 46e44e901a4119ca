"""Separate web, worker and beat processes against a PostgreSQL and a broker of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from tests.config.processes import Product, get_json, wait_until
from tests.config.test_one_process import demo_source, event, post_event
from tests.conftest import require_service

BROKERS = {
    "redis": ("redis://127.0.0.1:6379/7", 6379),
    "rabbitmq": ("amqp://guest:guest@127.0.0.1:5672//", 5672),
}


@pytest.fixture(params=sorted(BROKERS))
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Product]:
    require_service("PostgreSQL", "127.0.0.1", 5432)
    url, port = BROKERS[request.param]
    require_service(request.param, "127.0.0.1", port)
    name = f"order_up_{request.param}_{os.getpid()}"
    admin = psycopg2.connect("postgresql://postgres@127.0.0.1:5432/postgres")
    admin.autocommit = True
    admin.cursor().execute(f"CREATE DATABASE {name}")
    product = Product(
        tmp_path / "var",
        env={
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:5432/{name}",
            "CELERY_BROKER_URL": url,
        },
    )
    try:
        yield product
    finally:
        product.stop()
        admin.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
        admin.close()


@pytest.mark.services
def test_a_fleet_sends_what_one_process_sends(fleet: Product) -> None:
    fleet.manage("migrate", "-v0")
    fleet.manage("prepare")
    fleet.manage("demo_setup")
    fleet.start("-m", "integrations.sandbox", "--port", str(fleet.sandbox_port))
    wait_until(
        lambda: get_json(f"{fleet.sandbox}/_sandbox/health"), timeout_s=20, what="the sandbox"
    )
    fleet.start(
        "-m", "waitress", "--host=127.0.0.1", f"--port={fleet.port}", "config.wsgi:application"
    )
    for _ in range(2):
        fleet.start("-m", "celery", "-A", "config", "worker", "-P", "threads", "-c", "2",
                    "-l", "WARNING", "-n", f"w{len(fleet.children)}@test")  # fmt: skip
    fleet.start("-m", "celery", "-A", "config", "beat", "-l", "WARNING")
    fleet.manage("register_sandbox")
    wait_until(lambda: get_json(f"{fleet.url}/readyz")["ready"], timeout_s=60, what="the sweep")

    source = demo_source(fleet)
    guest = {"name": "Hana Test", "phone": "+12025550177", "contact_kind": "direct"}
    body = event("F9001", 1, state="ready", customer=guest, location={"id": "MAIN-STREET"})
    assert post_event(source, body)[0] == 202
    found = wait_until(
        lambda: fleet.messages("vendor=twilio&order=F9001"), timeout_s=30, what="the text"
    )
    assert len(found) == 1
    assert post_event(source, body)[0] == 200
