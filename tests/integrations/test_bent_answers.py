"""Vendors' answers with one value bent, and lists that are none: always one of our own errors."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from integrations import registry
from integrations.contracts import Accepted, HttpResponse, Message, Provider
from integrations.errors import ConfigurationError, IntegrationError, OutcomeUnknown, RateLimited
from tests.integrations import bad_answers as bad
from tests.integrations import fixture_files as files

PROVIDERS = sorted(registry.PROVIDERS)
ANSWERS = [
    (key, name)
    for key in PROVIDERS
    for name in files.names(key, "send_*")
    if files.response(files.load(key, name)).json() is not None
]
LISTS = [
    (key, method)
    for key in PROVIDERS
    for method in ("stop_list", "set_up_gaps")
    if getattr(registry.provider_class(key), method) is not getattr(Provider, method)
]
#: an empty list in them, which for one vendor or other is the true answer
LISTED = {"null_id", "list", "errors_list"}
ODD = (None, [], {}, 7, -1, 1.5, True, "", "x" * 5000, [[]], [None], {"a": None}, 10**30, "\ud83c")
ODD += (math.inf, -math.inf, math.nan, 10**400)
#: the longest wait a vendor may ask for
_DAY_S = 86_400


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside, the whole first."""
    yield way
    if isinstance(value, (dict, list)):
        for step in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[step], (*way, step))


def bent(value: Any, way: tuple[Any, ...], odd: Any) -> Any:
    """A copy with ``odd`` at one place."""
    if not way:
        return odd
    made = copy.deepcopy(value)
    node = made
    for step in way[:-1]:
        node = node[step]
    node[way[-1]] = odd
    return made


@pytest.mark.parametrize(("key", "name"), ANSWERS)
def test_any_value_may_be_of_another_kind(key: str, name: str) -> None:
    answer = files.response(files.load(key, name))
    provider, message = files.provider(key), files.message(key, name)
    for way in places(answer.json()):
        for odd in ODD:
            body = json.dumps(bent(answer.json(), way, odd)).encode()
            ended = read(provider, message, HttpResponse(answer.status, answer.headers, body))
            if isinstance(ended, Accepted):
                assert isinstance(ended.vendor_id, str)
                assert 200 <= answer.status < 300
            else:
                assert isinstance(ended.vendor_code, str)
            if isinstance(ended, RateLimited) and ended.retry_after_s is not None:
                assert 0 <= ended.retry_after_s <= _DAY_S


def read(
    provider: Provider, message: Message, answer: HttpResponse
) -> Accepted | IntegrationError | ConfigurationError:
    """How it ended; anything but our own errors is raised."""
    try:
        return provider.outcome(message, answer)
    except (IntegrationError, ConfigurationError) as error:
        return error


@pytest.mark.parametrize("header", ["retry-after", "x-ratelimit-reset", "ratelimit-reset"])
@pytest.mark.parametrize("key", PROVIDERS)
def test_no_header_makes_anybody_wait_forever(key: str, header: str) -> None:
    provider, message = files.provider(key), files.message(key)
    for value in (
        *bad.WAITS,
        "9" * 400,
        "-" + "9" * 400,
        "99999999999999999",
        "inf",
        "-inf",
        "\u0663",
    ):
        ended = read(provider, message, HttpResponse(429, {header: value, "date": bad.DATE}))
        if isinstance(ended, RateLimited) and ended.retry_after_s is not None:
            assert 0 <= ended.retry_after_s <= _DAY_S


@pytest.mark.parametrize("name", sorted(bad.UNREADABLE.keys() - LISTED))
@pytest.mark.parametrize(("key", "method"), LISTS)
def test_a_page_of_something_in_between_is_no_empty_list(key: str, method: str, name: str) -> None:
    """Read as one, the people who stopped since would never be asked about again."""
    answer = HttpResponse(200, {}, bad.UNREADABLE[name])
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        getattr(files.provider(key), method)(answer)
    assert type(caught.value) is OutcomeUnknown


@pytest.mark.parametrize("name", sorted(bad.UNREADABLE.keys() - LISTED))
@pytest.mark.parametrize(
    "key", [key for key in PROVIDERS if registry.provider_class(key).capabilities.look_up]
)
def test_a_page_of_something_in_between_does_not_say_that_nothing_arrived(
    key: str, name: str
) -> None:
    """Read as "not found", the message would be sent a second time."""
    answer = HttpResponse(200, {}, bad.UNREADABLE[name])
    with pytest.raises(OutcomeUnknown):
        files.provider(key).looked_up(files.message(key), answer)
