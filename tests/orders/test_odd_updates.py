"""Updates that are well formed and still odd: nothing fails, nothing is lost."""

from __future__ import annotations

import pytest

from integrations.contracts import Observation
from orders.projection import project
from tests.orders.posting import Till
from tests.orders.said import say


def listed(*ids: str, key: str = "k1") -> Observation:
    lines = [{"id": ref, "label": f"Bowl {place}"} for place, ref in enumerate(ids)]
    return say(key, "received", track="commercial", data={"items": lines})


def test_lines_that_share_an_id_are_lines_of_their_own() -> None:
    """Some sources name the product instead of the line."""
    items = project([listed("a", "b", "a", "a")]).items
    assert [item.ref for item in items] == ["a", "b", "a#2", "a#3"]
    assert [item.label for item in items] == ["Bowl 0", "Bowl 1", "Bowl 2", "Bowl 3"]
    long = "x" * 200
    refs = [item.ref for item in project([listed(long, long)]).items]
    assert len(set(refs)) == 2
    assert max(map(len, refs)) == 200


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["promised_at", "promised_until", "placed_at", "est_ready_at"])
@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_a_time_nobody_can_mean_is_left_out_and_told(till: Till, name: str, moment: str) -> None:
    fulfillment = {"type": "pickup", "scheduled": True}
    answer = till.post(state="received", times={name: moment}, fulfillment=fulfillment)
    assert answer.status_code == 202
    assert getattr(till.order(), name) is None or name == "placed_at"
    assert till.call().state == "applied"
    assert name in till.call().cause
