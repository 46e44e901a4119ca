"""A write with an Idempotency-Key happens once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from orders.api_keys import SCOPES, create_key
from orders.api_problems import Problem
from orders.idempotency import (
    StoredAnswer,
    claim_call,
    delete_expired_calls,
    release_call,
    store_answer,
)
from orders.models import ApiKey, IdempotentCall, InboundCall, Order, Restaurant
from tests.api.bodies import bowls, soon
from tests.api.conftest import Caller
from tests.factories import make_location, make_restaurant

NOW = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)
ANSWER = StoredAnswer(201, '{"id":"x"}', {"Location": "https://alerts.example.com/x"})


def test_a_repetition_gets_the_first_answer_and_does_nothing(api: Caller) -> None:
    first = api.post("orders", bowls(), key="k-1")
    second = api.post("orders", bowls(), key="k-1")
    assert first.status_code == second.status_code == 201
    assert second.content == first.content
    assert second["Location"] == first["Location"]
    assert second["Content-Type"] == first["Content-Type"]
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    assert InboundCall.objects.count() == 1


def test_every_write_can_be_repeated(api: Caller) -> None:
    made = api.post("orders", bowls(state="preparing")).json()
    path = f"orders/{made['id']}"
    writes: list[tuple[str, str, Any]] = [
        ("PATCH", path, {"fulfillment": {"table": "4"}}),
        ("POST", f"{path}/status", {"state": "ready", "part": "bowl-1"}),
        ("POST", f"{path}/eta", {"est_ready_at": soon(9)}),
        ("POST", f"{path}/split", {"parts": [{"id": "a"}, {"id": "b"}]}),
    ]
    for number, (method, where, body) in enumerate(writes):
        before = InboundCall.objects.count()
        first = api.call(method, where, body, key=f"w-{number}")
        again = api.call(method, where, body, key=f"w-{number}")
        assert (first.status_code, again.status_code) == (200, 200)
        assert again["Idempotent-Replayed"] == "true"
        assert again.content == first.content
        assert InboundCall.objects.count() == before + 1


def test_the_order_of_members_makes_no_other_request(api: Caller) -> None:
    body = bowls()
    turned = dict(reversed(body.items()))
    api.post("orders", body, key="k-1")
    assert api.post("orders", turned, key="k-1")["Idempotent-Replayed"] == "true"


def test_a_key_used_for_another_body_is_refused(api: Caller) -> None:
    api.post("orders", bowls("WEB-1"), key="k-1")
    answer = api.post("orders", bowls("WEB-2"), key="k-1")
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("/idempotency-key-reused")
    assert answer.json()["errors"][0]["header"] == "Idempotency-Key"
    assert Order.objects.count() == 1


def test_a_key_used_for_another_address_is_refused(api: Caller) -> None:
    made = api.post("orders", bowls("WEB-1")).json()
    path = f"orders/{made['id']}"
    assert api.patch(path, {"flags": {"delayed": True}}, key="k-1").status_code == 200
    other = api.post(f"{path}/split", {"parts": [{"id": "a"}]}, key="k-1")
    assert other.status_code == 422


def test_keys_of_two_callers_are_strangers(api: Caller, stranger: Caller) -> None:
    assert api.post("orders", bowls("WEB-1"), key="k-1").status_code == 201
    theirs = stranger.post("orders", bowls("WEB-1"), key="k-1")
    assert theirs.status_code == 201
    assert "Idempotent-Replayed" not in theirs


def test_a_refused_write_frees_its_key(api: Caller) -> None:
    wrong = api.post("orders", {"order": {"id": ""}}, key="k-1")
    assert wrong.status_code == 422
    assert not IdempotentCall.objects.exists()
    right = api.post("orders", bowls(), key="k-1")
    assert right.status_code == 201
    assert "Idempotent-Replayed" not in right


@pytest.mark.parametrize("key", ["", "x" * 256, "ключ", "tab\there"])
def test_a_key_must_be_plain_text(api: Caller, key: str) -> None:
    answer = api.post("orders", bowls(), **{"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["header"] == "Idempotency-Key"
    assert not Order.objects.exists()


def claim(api_key: ApiKey, now: datetime, fingerprint: str = "f" * 64) -> Any:
    return claim_call(api_key=api_key, key="k", fingerprint=fingerprint, now=now)


def at(api_key: ApiKey, moment: datetime) -> IdempotentCall:
    """A claim made at ``moment``."""
    IdempotentCall.objects.create(api_key=api_key, key="k", fingerprint="f" * 64)
    IdempotentCall.objects.update(created_at=moment)
    return IdempotentCall.objects.get()


def test_a_running_request_holds_its_key_for_a_minute(api_key: ApiKey) -> None:
    at(api_key, NOW)
    with pytest.raises(Problem) as refused:
        claim(api_key, NOW + timedelta(seconds=59))
    assert (refused.value.status_code, refused.value.code) == (409, "request-in-flight")
    assert refused.value.headers["Retry-After"] == "1"
    assert isinstance(claim(api_key, NOW + timedelta(seconds=60)), IdempotentCall)
    with pytest.raises(Problem):
        claim(api_key, NOW + timedelta(seconds=61))


def test_a_running_request_is_told_apart_from_another_one(api_key: ApiKey) -> None:
    at(api_key, NOW)
    with pytest.raises(Problem) as refused:
        claim(api_key, NOW, fingerprint="e" * 64)
    assert refused.value.code == "idempotency-key-reused"


def test_an_answer_is_kept_for_a_day(api_key: ApiKey) -> None:
    store_answer(claim=at(api_key, NOW), answer=ANSWER)
    almost = NOW + timedelta(hours=24) - timedelta(seconds=1)
    assert claim(api_key, almost) == ANSWER
    assert delete_expired_calls(now=almost) == 0
    renewed = claim(api_key, NOW + timedelta(hours=24), fingerprint="e" * 64)
    assert isinstance(renewed, IdempotentCall)
    assert IdempotentCall.objects.get().status is None


def test_old_answers_are_deleted(api_key: ApiKey) -> None:
    store_answer(claim=at(api_key, NOW), answer=ANSWER)
    assert delete_expired_calls(now=NOW + timedelta(hours=24)) == 1
    assert not IdempotentCall.objects.exists()


def test_a_run_that_lost_its_claim_stores_and_frees_nothing(api_key: ApiKey) -> None:
    slow = at(api_key, NOW)
    taker = claim(api_key, NOW + timedelta(minutes=2))
    with pytest.raises(Problem):
        store_answer(claim=slow, answer=ANSWER)
    release_call(claim=slow)
    store_answer(claim=taker, answer=ANSWER)
    assert claim(api_key, NOW + timedelta(minutes=3)) == ANSWER


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_one_order() -> None:
    restaurant: Restaurant = make_restaurant()
    make_location(restaurant)
    _, text = create_key(restaurant=restaurant, name="till", scopes=SCOPES)
    barrier = threading.Barrier(6)
    answers: list[Any] = []

    def send() -> None:
        try:
            barrier.wait()
            answers.append(Caller(text).post("orders", bowls(), key="k-1"))
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = [answer.status_code for answer in answers]
    made = [answer for answer in answers if answer.status_code == 201]
    assert len(codes) == 6
    assert set(codes) <= {201, 409}
    assert len({answer.content for answer in made}) == 1
    assert sum("Idempotent-Replayed" not in answer for answer in made) == 1
    assert all(a["Retry-After"] == "1" for a in answers if a.status_code == 409)
    assert Order.objects.count() == 1
    assert InboundCall.objects.count() == 1
    assert Caller(text).post("orders", bowls(), key="k-1").content == made[0].content


@pytest.mark.django_db(transaction=True)
def test_first_writes_of_a_restaurant_agree_on_one_account() -> None:
    restaurant = make_restaurant()
    make_location(restaurant)
    _, text = create_key(restaurant=restaurant, name="till", scopes=SCOPES)
    barrier = threading.Barrier(4)
    codes: list[int] = []

    def send(number: int) -> None:
        try:
            barrier.wait()
            codes.append(Caller(text).post("orders", bowls(f"WEB-{number}")).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [201] * 4
    assert restaurant.source_accounts.count() == 1
    assert Order.objects.count() == 4
