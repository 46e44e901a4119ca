"""Telegram beyond the common contract: every description, the second try, updates."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import Accepted, HttpResponse, InboundCall
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    MessageRejected,
    OutcomeUnknown,
    PayloadMalformed,
    RateLimited,
    RecipientOptedOut,
    RecipientUnreachable,
    SignatureInvalid,
    TransientError,
)
from integrations.http import Http, HttpConfig
from tests.integrations import fixture_files as files
from tests.integrations.test_contract import BARE_STATUSES

HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
SECRET = "s3cret_token-0123456789"
NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)
EARLIER = "5000000042/54"


def answer(status: int, words: str, **parameters: object) -> HttpResponse:
    body: dict[str, Any] = {"ok": False, "error_code": status, "description": words}
    if parameters:
        body["parameters"] = parameters
    return HttpResponse(status, {}, json.dumps(body).encode())


def outcome(response: HttpResponse, **changes: Any) -> Accepted:
    return files.provider("telegram").outcome(files.message("telegram", **changes), response)


@pytest.mark.parametrize(
    ("status", "words", "error"),
    [
        (429, "Too Many Requests: retry after 8", RateLimited),
        (500, "Internal Server Error", TransientError),
        (502, "Bad Gateway", OutcomeUnknown),
        (503, "Service Unavailable", TransientError),
        (504, "Gateway Timeout", OutcomeUnknown),
        (403, "Forbidden: bot was blocked by the user", RecipientOptedOut),
        (403, "Forbidden: user is deactivated", RecipientUnreachable),
        (403, "Forbidden: bot was kicked from the group chat", RecipientUnreachable),
        (403, "Forbidden: bot is not a member of the channel chat", RecipientUnreachable),
        (403, "Forbidden: the group chat was deleted", RecipientUnreachable),
        (403, "Forbidden: bot can't initiate conversation with a user", RecipientUnreachable),
        (403, "Forbidden: something new", RecipientUnreachable),
        (400, "Bad Request: chat not found", RecipientUnreachable),
        (400, "Bad Request: PEER_ID_INVALID", RecipientUnreachable),
        (400, "Bad Request: message to edit not found", MessageRejected),
        (400, "Bad Request: message can't be edited", MessageRejected),
        (400, "Bad Request: can't parse entities: unsupported start tag", MessageRejected),
        (400, "Bad Request: message text is empty", MessageRejected),
        (400, "Bad Request: message is too long", MessageRejected),
        (400, "Bad Request: BUTTON_DATA_INVALID", MessageRejected),
        (400, "Bad Request: query is too old", MessageRejected),
        (400, "Bad Request: something new", MessageRejected),
        (400, "Bad Request: not enough rights to send text messages", ConfigurationError),
        (400, "Bad Request: TOPIC_CLOSED", ConfigurationError),
        (401, "Unauthorized", ConfigurationError),
        (404, "Not Found", ConfigurationError),
        (409, "Conflict: terminated by other getUpdates request", ConfigurationError),
    ],
)
def test_every_description(status: int, words: str, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        outcome(answer(status, words))
    raised: Any = caught.value
    if error is RecipientOptedOut:
        # their own act in the app: a link they press later ends it
        assert (raised.reason, raised.purpose) == ("user", "")
    if status == 400 and "edit" in words:
        assert isinstance(raised, MessageRejected)
    else:
        assert type(raised) is error
    assert words.partition(": ")[2] == "" or words not in str(raised)
    if error is ConfigurationError:
        # only a wrong token or a second poller stops the bot
        assert raised.endpoint_only is (status == 400)


def test_the_code_in_the_body_counts_before_the_status() -> None:
    body = json.dumps({"ok": False, "error_code": 403, "description": "x"}).encode()
    with pytest.raises(RecipientUnreachable):
        outcome(HttpResponse(200, {}, body))


@pytest.mark.parametrize("status", BARE_STATUSES)
@pytest.mark.parametrize("body", [b"<html><h1>Sorry</h1></html>", b"", b'{"ok', b"[]", b"null"])
def test_a_refusal_without_words_goes_by_its_status(status: int, body: bytes) -> None:
    """As for every provider, except that a 403 speaks of one chat."""
    expected = RecipientUnreachable if status == 403 else BARE_STATUSES[status]
    with pytest.raises((IntegrationError, ConfigurationError)) as caught:
        outcome(HttpResponse(status, {}, body))
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Welcome</html>",
        b"",
        b"[]",
        b"null",
        b'{"ok":true}',
        b'{"ok":true,"result":true}',
        b'{"ok":true,"result":{"message_id":5}}',
        b'{"ok":false,"result":{"message_id":5,"chat":{"id":1}}}',
    ],
)
def test_an_unreadable_acceptance_is_unknown(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome(HttpResponse(200, {}, body))


@pytest.mark.parametrize(
    ("parameters", "headers", "wait_s"),
    [
        ({"retry_after": 8}, {}, 8.0),
        ({"retry_after": 8}, {"retry-after": "9"}, 8.0),
        ({"retry_after": 10**6}, {}, 3600.0),
        ({}, {"retry-after": "9"}, 9.0),
        ({"retry_after": "soon"}, {}, None),
        ({"retry_after": True}, {}, None),
        ({"retry_after": -1}, {}, None),
        ({}, {}, None),
    ],
)
def test_how_long_to_wait(
    parameters: dict[str, object], headers: dict[str, str], wait_s: float | None
) -> None:
    response = replace(answer(429, "Too Many Requests", **parameters), headers=headers)
    with pytest.raises(RateLimited) as caught:
        outcome(response)
    assert (caught.value.retry_after_s, caught.value.whole_account) == (wait_s, True)


def test_an_edit_that_changes_nothing_is_accepted() -> None:
    words = "Bad Request: message is not modified: specified new message content is the same"
    assert outcome(answer(400, words), replaces_vendor_id=EARLIER).vendor_id == EARLIER


# --- the request ----------------------------------------------------------------------------------


def body_of(**changes: Any) -> dict[str, Any]:
    request = files.provider("telegram").request(files.message("telegram", **changes))
    loaded: dict[str, Any] = json.loads(request.body)
    return loaded


def url_of(**changes: Any) -> str:
    return files.provider("telegram").request(files.message("telegram", **changes)).url


def test_nothing_a_customer_typed_is_html() -> None:
    body = body_of(text="<b>x</b> & <a href='https://evil.example'>y</a> &lt; _z_")
    assert "<" not in body["text"]
    assert body["text"].startswith("&lt;b&gt;x&lt;/b&gt; &amp; ")
    assert body["link_preview_options"] == {"is_disabled": True}


@pytest.mark.parametrize(
    ("to", "chat", "topic"),
    [("42", 42, None), ("-1001234567890", -1001234567890, None), ("-100123/7", -100123, 7)],
)
def test_chats_and_topics(to: str, chat: int, topic: int | None) -> None:
    body = body_of(to=to)
    assert (body["chat_id"], body.get("message_thread_id")) == (chat, topic)


@pytest.mark.parametrize("to", ["", "@ana", "12a", "1/2/3", "/7", "+15005550006x", "٤٢", "9" * 20])
def test_what_is_no_chat_never_leaves(to: str) -> None:
    with pytest.raises(RecipientUnreachable):
        body_of(to=to)


@pytest.mark.parametrize("text", ["", "  \n", "\x00"])
def test_an_empty_text_never_leaves(text: str) -> None:
    with pytest.raises(MessageRejected):
        body_of(text=text)


def test_an_edit_keeps_the_window_and_is_never_urgent() -> None:
    assert url_of(replaces_vendor_id=EARLIER).endswith("/editMessageText")
    assert body_of(replaces_vendor_id=EARLIER)["message_id"] == 54
    assert url_of(replaces_vendor_id=EARLIER, urgent=True).endswith("/sendMessage")
    assert "message_id" not in body_of(replaces_vendor_id=EARLIER, urgent=True)
    assert url_of(replaces_vendor_id="other").endswith("/sendMessage")


@pytest.mark.parametrize(
    ("number", "link", "labels"),
    [
        ("1042", "https://alerts.example.com/o/1/", ["Status", "Track"]),
        ("", "https://alerts.example.com/o/1/", ["Track"]),
        ("x" * 57, "", ["Status"]),
        ("x" * 58, "", []),
        ("я" * 29, "", []),  # 64 bytes, not characters
        ("", "http://127.0.0.1/o/1/", []),
        ("", "https://x/" + "a" * 2000, []),
    ],
)
def test_buttons_telegram_would_refuse_are_left_out(
    number: str, link: str, labels: list[str]
) -> None:
    body = body_of(order={"number": number}, links={"order": link})
    rows = body.get("reply_markup", {}).get("inline_keyboard", [])
    assert [button["text"] for row in rows for button in row] == labels
    assert rows or "reply_markup" not in body


def test_a_token_stays_inside_its_path() -> None:
    provider = files.provider("telegram", bot_token="1:a/../x?y#z ")
    assert provider.request(files.message("telegram")).url == (
        "https://api.telegram.org/bot1:a%2F..%2Fx%3Fy%23z/sendMessage"
    )


# --- sending, and once more -----------------------------------------------------------------------


def send(answers: list[HttpResponse | None], **changes: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Send through the door to a server that gives ``answers`` (None: silence) one by one."""
    seen: list[dict[str, Any]] = []

    async def go() -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                    body = json.loads(await reader.readexactly(length))
                    seen.append({"path": head.split()[1].decode(), **body})
                    said = answers[len(seen) - 1]
                    if said is None:
                        await asyncio.Event().wait()
                        continue
                    status = f"HTTP/1.1 {said.status} x\r\nContent-Length: {len(said.body)}\r\n\r\n"
                    writer.write(status.encode() + said.body)
            except (asyncio.IncompleteReadError, asyncio.CancelledError):
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        http = Http(HttpConfig(1.0, 0.2, frozenset({origin})))
        try:
            provider = files.provider("telegram", base_url=origin)
            return await provider.send(files.message("telegram", **changes), http)
        except IntegrationError as error:
            return error
        finally:
            await http.close()
            server.close()

    return asyncio.run(go()), seen


def accepted(chat: int, number: int = 55) -> HttpResponse:
    result = {"message_id": number, "chat": {"id": chat, "type": "supergroup"}}
    return HttpResponse(200, {}, json.dumps({"ok": True, "result": result}).encode())


MOVED = answer(
    400,
    "Bad Request: group chat was upgraded to a supergroup chat",
    migrate_to_chat_id=-1000000000042,
)
GONE = answer(400, "Bad Request: message to edit not found")


def test_a_group_with_a_new_id_gets_the_message_there() -> None:
    result, seen = send([MOVED, accepted(-1000000000042)], to="-42/7")
    assert result.vendor_id == "-1000000000042/55"
    assert result.moved_to == "-1000000000042"
    assert result.moved_to not in result.detail
    assert [call["chat_id"] for call in seen] == [-42, -1000000000042]
    assert seen[0]["text"] == seen[1]["text"]


def test_a_group_that_moves_twice_is_given_up() -> None:
    result, seen = send([MOVED, MOVED], to="-42")
    assert type(result) is RecipientUnreachable
    assert len(seen) == 2


@pytest.mark.parametrize("words", ["message to edit not found", "message can't be edited"])
def test_what_cannot_be_edited_is_sent_anew(words: str) -> None:
    result, seen = send(
        [answer(400, f"Bad Request: {words}"), accepted(5000000042, 56)],
        replaces_vendor_id=EARLIER,
    )
    assert result.vendor_id == "5000000042/56"
    assert [call["path"].rpartition("/")[2] for call in seen] == ["editMessageText", "sendMessage"]
    assert "message_id" not in seen[1]


@pytest.mark.parametrize(
    ("answers", "error", "calls"),
    [
        ([None], OutcomeUnknown, 1),
        ([GONE, None], OutcomeUnknown, 2),
        ([answer(400, "Bad Request: chat not found")], RecipientUnreachable, 1),
        ([answer(500, "Internal Server Error")], TransientError, 1),
    ],
)
def test_nothing_else_is_sent_twice(
    answers: list[HttpResponse | None], error: type[Exception], calls: int
) -> None:
    changes = {"replaces_vendor_id": EARLIER} if GONE in answers else {}
    result, seen = send(answers, **changes)
    assert type(result) is error
    assert len(seen) == calls
    assert seen[0]["path"].startswith("/bot")


# --- updates --------------------------------------------------------------------------------------


def call(update: object, secret: str | None = SECRET) -> InboundCall:
    headers = {"content-type": "application/json"}
    if secret is not None:
        headers["x-telegram-bot-api-secret-token"] = secret
    return InboundCall("POST", HOOK, headers, json.dumps(update).encode(), NOW)


def message(text: str | None, chat: int = 42, **more: Any) -> dict[str, Any]:
    person = {"id": 42, "is_bot": False}
    kind = "private" if chat > 0 else "supergroup"
    said = {"message_id": 1, "from": person, "chat": {"id": chat, "type": kind}, "date": 1773528125}
    return {"update_id": 9, "message": {**said, "text": text, **more}}


def replies(update: object) -> Any:
    return files.provider("telegram").replies(call(update))


@pytest.mark.parametrize(
    "secret", [None, "", "S3cret_token-0123456789", SECRET[:-1], SECRET + "x", "ü", "0" * 256]
)
def test_a_call_without_the_secret_is_refused(secret: str | None) -> None:
    provider = files.provider("telegram")
    for read in (provider.replies, provider.answer):
        with pytest.raises(SignatureInvalid):
            read(call(message("x"), secret))


def test_the_secret_before_this_one_is_believed_while_it_is_set() -> None:
    old = call(message("x"), "old-secret")
    rotating = files.provider("telegram", previous_secret_token="old-secret")
    assert [reply.text for reply in rotating.replies(old)] == ["x"]
    assert [reply.text for reply in rotating.replies(call(message("x")))] == ["x"]
    assert rotating.answer(old).status == 200
    for provider in (files.provider("telegram"), rotating):
        with pytest.raises(SignatureInvalid):
            provider.replies(call(message("x"), "older-secret"))
    with pytest.raises(SignatureInvalid):
        files.provider("telegram").replies(old)


def test_without_a_secret_nothing_is_believed() -> None:
    with pytest.raises(SignatureInvalid, match="no secret token"):
        files.provider("telegram", secret_token="").replies(call(message("x"), ""))


@pytest.mark.parametrize(
    ("said", "text", "link"),
    [
        ("Where is it?", "Where is it?", ""),
        ("STOP", "STOP", ""),
        ("/stop", "STOP", ""),
        ("/STOP@harvest_orders_bot", "STOP", ""),
        ("/start", "HELP", ""),
        ("/start  ", "HELP", ""),
        ("/start aZ09_-", "", "aZ09_-"),
        ("/start@harvest_orders_bot aZ09_-", "", "aZ09_-"),
        ("/start not a token", "HELP", ""),
        (f"/start {'x' * 65}", "HELP", ""),
        ("/help", "HELP", ""),
        ("/status", "STATUS", ""),
        ("/eta 1042", "STATUS", ""),
        ("/unknown 7", "/unknown 7", ""),
        ("/ stop", "/ stop", ""),
    ],
)
def test_words_and_commands(said: str, text: str, link: str) -> None:
    [reply] = replies(message(said))
    assert (reply.text, reply.action.get("value", "")) == (text, link)
    assert (reply.sender, reply.vendor_id, reply.occurred_at) == ("42", "update:9", NOW)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"photo": [{"file_id": "x"}]}, "[photo]"),
        ({"photo": [{"file_id": "x"}], "caption": "look"}, "look"),
        ({"voice": {"file_id": "x"}}, "[voice]"),
        ({"animation": {"file_id": "x"}, "document": {"file_id": "x"}}, "[animation]"),
        # somebody's phone number proves nothing about who sent it
        ({"contact": {"phone_number": "+12025550142", "user_id": 7}}, "[contact]"),
    ],
)
def test_what_is_sent_instead_of_words(more: dict[str, Any], text: str) -> None:
    [reply] = replies(message(None, **more))
    assert (reply.text, reply.sender, reply.action) == (text, "42", {})


@pytest.mark.parametrize(
    "more",
    [
        {"migrate_to_chat_id": -1000000000042},
        {"new_chat_members": [{"id": 7}]},
        {"pinned_message": {}},
        {},
    ],
)
def test_notes_of_the_service_are_nobodys_words(more: dict[str, Any]) -> None:
    assert replies(message(None, chat=-42, **more)) == []


def test_a_command_for_another_bot_is_none_of_ours() -> None:
    assert replies(message("/stop@other_bot", chat=-7)) == []


def test_a_topic_is_part_of_the_address() -> None:
    [reply] = replies(message("x", chat=-100, message_thread_id=7, is_topic_message=True))
    assert reply.sender == "-100/7"
    [reply] = replies(message("x", chat=-100, message_thread_id=7))  # an answer, no topic
    assert reply.sender == "-100"


@pytest.mark.parametrize(
    "update",
    [
        {},
        {"update_id": 9},
        {"update_id": 9, "edited_message": {"chat": {"id": 1}, "text": "STOP"}},
        {"update_id": 9, "message": {"text": "x"}},
        {"update_id": 9, "message": [1]},
        {"message": {"chat": {"id": 1}, "text": "x"}},
        {"update_id": 9, "message": {"chat": {"id": 1}, "from": {"is_bot": True}, "text": "x"}},
        {"update_id": 9, "callback_query": {"id": "1", "data": "status:1"}},
        {"update_id": 9, "callback_query": {"id": "1", "message": {"chat": {"id": 1}}}},
    ],
)
def test_updates_that_say_nothing(update: object) -> None:
    assert replies(update) == []


@pytest.mark.parametrize(
    ("data", "text"),
    [("status:1042", "STATUS"), ("eta:1", "STATUS"), ("stop:1", "STOP"), ("x", "")],
)
def test_buttons(data: str, text: str) -> None:
    query = {"id": "q-1", "from": {"id": 42}, "data": data}
    update = {"update_id": 9, "callback_query": {**query, "message": message("x")["message"]}}
    [reply] = replies(update)
    assert (reply.text, reply.action) == (text, {"type": "button", "value": data})
    ended = files.provider("telegram").answer(call(update))
    assert json.loads(ended.body) == {"method": "answerCallbackQuery", "callback_query_id": "q-1"}
    assert files.provider("telegram").answer(call(message("x"))).body == b""


@pytest.mark.parametrize(
    ("kind", "status", "stops"),
    [
        ("private", "kicked", True),
        ("private", "member", False),
        ("group", "kicked", False),
        ("supergroup", "left", False),
    ],
)
def test_blocking_the_bot_is_a_stop(kind: str, status: str, stops: bool) -> None:
    change = {"chat": {"id": 5, "type": kind}, "date": 1, "new_chat_member": {"status": status}}
    found = replies({"update_id": 2, "my_chat_member": change})
    assert [(r.sender, r.text, r.vendor_handled, r.vendor_confirmed) for r in found] == (
        [("5", "STOP", "stop", True)] if stops else []
    )


@pytest.mark.parametrize("when", [None, "soon", 10**20, True])
def test_a_time_that_is_none(when: object) -> None:
    [reply] = replies(message("x", date=when))
    assert reply.occurred_at is None


@pytest.mark.parametrize("body", [b"{", b"[]", b"null"])
def test_a_body_that_is_no_update(body: bytes) -> None:
    with pytest.raises(PayloadMalformed):
        files.provider("telegram").replies(replace(call({}), body=body))


# --- what is set up -------------------------------------------------------------------------------

HEARD = {"url": HOOK, "pending_update_count": 0, "allowed_updates": []}


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({}, ["has no webhook"]),
        ({"url": ""}, ["has no webhook"]),
        (HEARD, []),
        ({**HEARD, "last_error_date": 1}, []),  # it was mended since
        ({**HEARD, "pending_update_count": 3}, []),
        ({**HEARD, "pending_update_count": 3, "last_error_date": 1}, ["3 updates wait"]),
        ({**HEARD, "allowed_updates": ["message"]}, ["callback_query, my_chat_member"]),
    ],
)
def test_what_is_missing_at_telegram(info: dict[str, Any], words: list[str]) -> None:
    response = HttpResponse(200, {}, json.dumps({"ok": True, "result": info}).encode())
    gaps = files.provider("telegram").set_up_gaps(response)
    assert len(gaps) == len(words)
    assert all(word in gap for word, gap in zip(words, gaps, strict=True))


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (answer(401, "Unauthorized"), ConfigurationError),
        (HttpResponse(200, {}, b"<html>"), OutcomeUnknown),
    ],
)
def test_what_is_set_up_cannot_be_seen(response: HttpResponse, error: type[Exception]) -> None:
    with pytest.raises((error,)):
        files.provider("telegram").set_up_gaps(response)
