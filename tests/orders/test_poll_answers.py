"""What a vendor may answer to a poll, and what becomes of it. Over real HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from integrations.contracts import HttpResponse
from integrations.errors import ConfigurationError, OutcomeUnknown, RateLimited
from integrations.sources.square import Square as SquareSource
from orders import polling
from orders.accounts import save_source_account
from orders.models import Order
from orders.vendor_answers import REFUSED, SOON, THROTTLED, Trouble, trouble_in
from tests.orders.test_follow_ups import Square
from tests.orders.test_polling import now_plus, square, stored

pytestmark = pytest.mark.django_db
__all__ = ["square"]
USUAL = timedelta(seconds=polling.EVERY_S)


@pytest.mark.parametrize(
    ("fault", "words", "wait"),
    [
        ({"kind": "500"}, "square answered HTTP 500", SOON),
        ({"kind": "503"}, "square answered HTTP 503", SOON),
        ({"kind": "html", "status": 200}, "the answer cannot be read: ", USUAL),
        ({"kind": "html", "status": 502}, "square answered HTTP 502", SOON),
        ({"kind": "disconnect"}, "square · ", SOON),
        ({"kind": "timeout", "delay_ms": 5000}, "square · unknown · no answer in time", SOON),
        (
            {"kind": "429", "retry_after_s": 240},
            "square answered HTTP 429: it asks us to slow down",
            timedelta(seconds=240),
        ),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else None,
)
def test_a_bad_answer_is_noted_and_the_window_asked_for_again(
    square: Square, fault: dict[str, Any], words: str, wait: timedelta
) -> None:
    square.plant()
    square.tell("faults", {"vendor": "square", "times": 1, **fault})
    now = now_plus()
    assert polling.poll_sources(now=now) == 1
    account = stored(square)
    assert account.poll_error.startswith(words)
    assert (account.last_polled_at, account.poll_due_at) == (None, now + wait)
    assert not Order.objects.exists()
    assert polling.poll_sources(now=now + wait - timedelta(seconds=1)) == 0
    assert polling.poll_sources(now=now + wait) == 1
    assert stored(square).poll_error == ""
    assert Order.objects.exists()


def test_a_refused_key_is_not_tried_every_minute(square: Square) -> None:
    square.account.settings = {**square.account.settings, "access_token": "revoked"}
    square.account.save()
    now = now_plus()
    polling.poll_sources(now=now)
    account = stored(square)
    assert account.poll_error == "square answered HTTP 401: it does not accept our key"
    assert "revoked" not in account.poll_error
    assert account.poll_due_at == now + REFUSED


def test_our_own_mistake_stops_no_other_account(
    square: Square, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def parse_poll(self: SquareSource, response: HttpResponse, received_at: object) -> list[Any]:
        raise ZeroDivisionError

    monkeypatch.setattr(SquareSource, "parse_poll", parse_poll)
    assert polling.poll_sources(now=now_plus()) == 1
    assert stored(square).poll_error == "our mistake: ZeroDivisionError"
    assert "orders.poll_failed" in caplog.text


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (HttpResponse(200), None),
        (HttpResponse(204), None),
        (HttpResponse(302), Trouble("v answered HTTP 302")),
        (
            HttpResponse(400),
            Trouble("v answered HTTP 400: it does not understand the question"),
        ),
        (
            HttpResponse(403),
            Trouble("v answered HTTP 403: our key does not permit this", REFUSED),
        ),
        (
            HttpResponse(429),
            Trouble("v answered HTTP 429: it asks us to slow down", THROTTLED),
        ),
        (
            HttpResponse(503, {"retry-after": "600"}),
            Trouble("v answered HTTP 503", timedelta(minutes=10)),
        ),
        (
            HttpResponse(429, {"retry-after": "0.5"}),
            Trouble("v answered HTTP 429: it asks us to slow down", SOON),
        ),
        (
            HttpResponse(429, {"retry-after": "999999"}),
            Trouble("v answered HTTP 429: it asks us to slow down", timedelta(hours=1)),
        ),
        (ConfigurationError("v", "no address"), Trouble("v: no address", REFUSED)),
        (OutcomeUnknown("v", detail="late"), Trouble("v · unknown · late", SOON)),
        (
            RateLimited("v", retry_after_s=90),
            Trouble("v · rate_limited", timedelta(seconds=90)),
        ),
    ],
)
def test_what_an_answer_is_worth(
    answer: HttpResponse | BaseException, trouble: Trouble | None
) -> None:
    assert trouble_in(answer, "v") == trouble


def test_a_bug_is_no_answer() -> None:
    with pytest.raises(ZeroDivisionError):
        trouble_in(ZeroDivisionError(), "v")


def test_a_mended_account_is_asked_at_once(square: Square) -> None:
    square.plant()
    good = dict(square.account.settings)
    square.account.settings = {**good, "access_token": "revoked"}
    square.account.save()
    now = now_plus()
    polling.poll_sources(now=now)
    save_source_account(account=stored(square), values=good)
    assert polling.poll_sources(now=now + timedelta(seconds=30)) == 1
    assert stored(square).poll_error == ""
    assert Order.objects.exists()
