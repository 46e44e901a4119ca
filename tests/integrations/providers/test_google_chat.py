"""Google Chat beyond the common contract: every answer, the URL, markup, threads, repetition."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from integrations.contracts import HttpResponse
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from tests.integrations import fixture_files as files


def outcome(status: int, word: str = "", words: str = "", **headers: str) -> Any:
    error = {"error": {"code": status, "message": words, "status": word}}
    answer = HttpResponse(status, headers, json.dumps(error if word else {}).encode())
    return files.provider("google_chat").outcome(files.message("google_chat"), answer)


@pytest.mark.parametrize(
    ("status", "word", "words", "error"),
    [
        (400, "INVALID_ARGUMENT", "Unknown name cardV2", MessageRejected),
        (400, "INVALID_ARGUMENT", "API key not valid.", ConfigurationError),
        (400, "INVALID_ARGUMENT", "Invalid token format", ConfigurationError),
        (400, "INVALID_ARGUMENT", "Invalid JSON payload: Unexpected token.", MessageRejected),
        (400, "INVALID_ARGUMENT", "Message is over the size limit", MessageRejected),
        (400, "FAILED_PRECONDITION", "x", MessageRejected),
        (400, "", "", MessageRejected),
        (401, "UNAUTHENTICATED", "x", ConfigurationError),
        (403, "PERMISSION_DENIED", "x", ConfigurationError),
        (404, "NOT_FOUND", "x", ConfigurationError),
        (404, "NOT_FOUND", "Space not found.", ConfigurationError),
        (401, "", "", ConfigurationError),
        (405, "", "", ConfigurationError),
        (410, "", "", ConfigurationError),
        (302, "", "", ConfigurationError),
        (413, "", "", MessageRejected),
        (429, "RESOURCE_EXHAUSTED", "x", RateLimited),
        (429, "", "", RateLimited),
        (409, "ABORTED", "x", OutcomeUnknown),
        (409, "", "", OutcomeUnknown),
        (408, "", "", TransientError),
        (500, "INTERNAL", "x", TransientError),
        (503, "UNAVAILABLE", "x", TransientError),
        (502, "", "", OutcomeUnknown),
        (504, "", "", OutcomeUnknown),
        (200, "", "", OutcomeUnknown),
        (204, "", "", OutcomeUnknown),
        (403, "BRAND_NEW", "x", ConfigurationError),
    ],
)
def test_every_answer(status: int, word: str, words: str, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        outcome(status, word, words)
    raised: Any = caught.value
    assert type(raised) is error
    assert raised.vendor_code == ("" if word == "BRAND_NEW" else word)
    assert len(words) < 2 or words not in str(raised)
    if error is ConfigurationError:
        assert raised.endpoint_only  # one space is dead, not the restaurant's Chat


def test_already_there_is_accepted() -> None:
    assert outcome(409, "ALREADY_EXISTS").detail == "already there"


@pytest.mark.parametrize(("headers", "wait_s"), [({}, None), ({"retry-after": "7"}, 7.0)])
def test_how_long_to_wait(headers: dict[str, str], wait_s: float | None) -> None:
    with pytest.raises(RateLimited) as caught:
        outcome(429, "RESOURCE_EXHAUSTED", **headers)
    assert caught.value.retry_after_s == wait_s


# --- the URL --------------------------------------------------------------------------------------

URL = "https://chat.googleapis.com/v1/spaces/AAA/messages?key=k-1&token=t%2B1%3D"


def url_of(url: str = URL, base_url: str = "", **changes: Any) -> str:
    provider = files.provider("google_chat", base_url=base_url, webhook_url=url)
    request = provider.request(files.message("google_chat", **changes))
    assert request.untrusted_url
    return request.url


def test_key_and_token_are_kept_to_the_letter() -> None:
    assert url_of(f" {URL}\n").startswith(f"{URL}&messageReplyOption=REPLY_MESSAGE_FALLBACK_")
    assert url_of(base_url="http://127.0.0.1:8001/google_chat").startswith(
        "http://127.0.0.1:8001/google_chat/v1/spaces/AAA/messages?key=k-1&token=t%2B1%3D&"
    )


@pytest.mark.parametrize(
    "url",
    [
        URL.replace("https", "http"),
        URL.replace("/messages", ""),
        URL.replace("key=", "x="),
        URL.replace("token=", "x="),
        "https://chat.googleapis.com/v1/spaces/AAA/BBB/messages?key=k&token=t",
        "https://[",
        "x",
    ],
)
def test_urls_that_cannot_work(url: str) -> None:
    with pytest.raises(ConfigurationError, match="webhook_url") as caught:
        files.provider("google_chat", webhook_url=url)
    assert url == "x" or url not in str(caught.value)


def test_a_repetition_has_the_same_request_id() -> None:
    def request_id(**changes: Any) -> str:
        return parse_qs(urlsplit(url_of(**changes)).query)["requestId"][0]

    first = request_id(delivery_key="7", attempt_id="a-1", event={"id": "n-1"})
    again = request_id(delivery_key="7", attempt_id="a-2", event={"id": "n-1"}, text="other")
    assert again == first
    assert str(UUID(first)) == first
    assert request_id(delivery_key="8", attempt_id="a-1", event={"id": "n-1"}) != first
    # every installation numbers its deliveries anew, and two may write to one space
    assert request_id(delivery_key="7", attempt_id="a-1", event={"id": "n-2"}) != first
    # a test message belongs to no delivery
    assert request_id(delivery_key="", attempt_id="a-1") != request_id(
        delivery_key="", attempt_id="a-2"
    )


def test_a_copied_url_with_parameters_of_ours_has_each_once() -> None:
    copied = f"{URL}&threadKey=x&messageReplyOption=REPLY_MESSAGE_OR_FAIL&requestId=1"
    assert url_of(copied) == url_of()
    query = parse_qs(urlsplit(url_of(copied)).query)
    assert {name: len(values) for name, values in query.items()} == dict.fromkeys(
        ("key", "token", "messageReplyOption", "requestId"), 1
    )
    assert query["messageReplyOption"] == ["REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"]


# --- the message ----------------------------------------------------------------------------------


def body_of(**changes: Any) -> Any:
    request = files.provider("google_chat").request(files.message("google_chat", **changes))
    assert len(request.body) <= 32_000
    return json.loads(request.body)


def test_nothing_a_customer_typed_is_a_mention_a_link_or_html() -> None:
    attack = "<users/all> <https://evil.example|click> <b>x</b>"
    order = {"number": attack, "reason": attack}
    said = json.dumps(body_of(text=attack, subject=attack, order=order))
    assert "<" not in said
    assert ">" not in said
    assert "users/all" in said


def test_one_thread_for_all_messages_of_an_order() -> None:
    assert body_of(thread_key="order-7")["thread"] == {"threadKey": "order-7"}
    assert "thread" not in body_of(thread_key="")


@pytest.mark.parametrize("char", ["x", "я", "😀", '"', "\\"])
def test_limits_hold_for_any_length(char: str) -> None:
    long = "a" + char * 30_000
    order = dict.fromkeys(("number", "state_label", "source", "eta_time", "reason"), long)
    links = {"order": "https://x/" + "a" * 1990, "acknowledge": "https://x/" + "b" * 3000}
    body = body_of(text=long, subject=long, order=order, links=links, thread_key=long)
    assert len(body["text"]) == 4000
    assert body["text"].endswith("…")
    [buttons] = [
        w["buttonList"]["buttons"] for w in widgets(body) if "buttonList" in w
    ]  # the longer link is left out
    assert [button["text"] for button in buttons] == ["Open order"]


def test_control_characters_are_left_out() -> None:
    """Six bytes each in JSON: 5,000 of them would be over the limit."""
    order = dict.fromkeys(("number", "reason"), "a\x01" * 5_000)
    body = body_of(text="a\x00\x1bb\r\n" + "\x02" * 30_000 + "c", order=order)
    assert body["text"] == "ab\nc"
    assert "\x01" not in json.dumps(body, ensure_ascii=False)


def widgets(body: Any) -> list[dict[str, Any]]:
    [card] = body["cardsV2"]
    [section] = card["card"]["sections"]
    found: list[dict[str, Any]] = section["widgets"]
    return found


@pytest.mark.parametrize("link", ["javascript:alert(1)", "", "ftp://x"])
def test_only_web_links_become_buttons(link: str) -> None:
    assert not [w for w in widgets(body_of(links={"order": link})) if "buttonList" in w]


def test_a_message_without_words_has_a_title() -> None:
    body = body_of(text="<>", subject="", order={})
    assert body["text"] == "Order Up"
    assert body["cardsV2"][0]["card"]["header"]["title"] == "Order Up"
