"""`manage.py run` as a stranger uses it: from nothing, by hand, killed in the rush, again."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.config.processes import Product, get_json, wait_until


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    tmp_path.chmod(0o755)
    made = Product(tmp_path / "var")
    yield made
    made.stop()


def demo_source(product: Product, source: str = "cloudevents") -> dict[str, Any]:
    info = json.loads(product.manage("demo_info"))
    found: dict[str, Any] = next(s for s in info["sources"] if s["source"] == source)
    return found


def post_event(source: dict[str, Any], body: dict[str, Any]) -> tuple[int, str]:
    raw = json.dumps(body).encode()
    stamp = str(int(time.time()))
    secret = source["signing_secret"].encode()
    mac = hmac.new(secret, stamp.encode() + b"." + raw, hashlib.sha256).hexdigest()
    request = urllib.request.Request(
        source["webhook_url"],
        data=raw,
        headers={
            "Content-Type": "application/cloudevents+json",
            "X-Alert-Signature": f"t={stamp},v1={mac}",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def event(order: str, sequence: int, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "type": "com.example.order",
        "source": "https://pos.example.com/hand",
        "id": f"{order}-{sequence}",
        "time": datetime.now(UTC).isoformat(),
        "subject": f"orders/{order}",
        "sequence": str(sequence),
        "data": {"order": {"id": order, "display": order}, **data},
    }


def test_from_nothing_to_alerts_killed_and_back(product: Product) -> None:
    process = product.start("manage.py", "run")
    wait_until(
        lambda: {"twilio", "mailgun", "slack"} <= {m["vendor"] for m in product.messages()},
        timeout_s=120,
        what="the lunch service reaches phone, mailbox and team chat",
    )
    source = demo_source(product)
    guest = {"name": "Hana Test", "phone": "+12025550177", "contact_kind": "direct"}
    ready = event("H7001", 2, state="ready")
    place = {"id": "MAIN-STREET"}
    assert (
        post_event(source, event("H7001", 1, state="preparing", customer=guest, location=place))[0]
        == 202
    )
    assert post_event(source, ready)[0] == 202
    wait_until(lambda: product.messages("vendor=twilio&order=H7001"), timeout_s=20, what="the text")
    assert post_event(source, ready)[0] == 200
    late = event("H7001", 1, state="preparing")
    late["id"] = "late"
    assert post_event(source, late)[0] == 202

    for number in range(7100, 7130):
        caller = {**guest, "phone": f"+1202555{number % 100 + 100:04d}"}
        post_event(source, event(f"H{number}", 1, state="ready", location=place, customer=caller))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    product.start("manage.py", "run")
    wait_until(lambda: get_json(f"{product.url}/readyz")["ready"], timeout_s=60, what="ready again")

    states = wait_until(lambda: settled_states(product), timeout_s=120, what="every alert settled")
    texts = Counter(m["text"] for m in product.messages("vendor=twilio") if "H71" in m["text"])
    # the sandbox lived in the killed process: what it had seen is gone with it, so each alert is
    # either a message the new one has, or was accepted or marked unknown before the kill
    assert states.keys() <= {"accepted", "delivered", "read", "unknown"}
    assert sum(states.values()) == 30
    assert max(texts.values(), default=1) == 1


def settled_states(product: Product) -> dict[str, int]:
    """Delivery states of the thirty rush orders once none is on its way any more, else {}."""
    script = (
        "import json;from collections import Counter;from notifications.models import Delivery;"
        "print(json.dumps(Counter(Delivery.objects.filter(channel='sms',"
        "notification__order__display__startswith='H71').values_list('state',flat=True))))"
    )
    found: dict[str, int] = json.loads(
        product.manage("shell", "-v0", "-c", script).splitlines()[-1]
    )
    moving = {"queued", "claimed", "sending"} & found.keys()
    return {} if moving or not found else found
