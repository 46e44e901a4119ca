"""Teams beyond the common contract: every answer, URL shapes, limits, words from staff."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import HttpResponse, InboundCall
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    PayloadMalformed,
    RateLimited,
    SignatureInvalid,
    TransientError,
)
from tests.integrations import fixture_files as files

HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
TOKEN = "vqF0En+Z0ucuRTM/01o2GuhMH3hKKk/N2bOmlM31zaA="
NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)


def outcome(status: int, code: str = "", **headers: str) -> Any:
    body = json.dumps({"error": {"code": code, "message": "words"}}).encode() if code else b""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return files.provider("teams").outcome(
        files.message("teams"), HttpResponse(status, names, body)
    )


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "TriggerInputSchemaMismatch", MessageRejected),
        (400, "WorkflowTriggerIsNotEnabled", ConfigurationError),
        (401, "DirectApiAuthorizationRequired", ConfigurationError),
        (401, "MisMatchingOAuthClaims", ConfigurationError),
        (403, "MisMatchingOAuthClaims", ConfigurationError),
        (401, "SomethingNew", ConfigurationError),
        (403, "", ConfigurationError),
        (404, "WorkflowNotFound", ConfigurationError),
        (404, "", ConfigurationError),
        (405, "", ConfigurationError),
        (302, "", ConfigurationError),
        (400, "SomethingNew", MessageRejected),
        (400, "", MessageRejected),
        (413, "", MessageRejected),
        (429, "", RateLimited),
        (502, "NoResponse", TransientError),
        (500, "", TransientError),
        (503, "", TransientError),
        (408, "", TransientError),
        (502, "", OutcomeUnknown),
        (504, "", OutcomeUnknown),
        (204, "", OutcomeUnknown),
        (200, "", OutcomeUnknown),
    ],
)
def test_every_answer(status: int, code: str, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        outcome(status, code)
    raised: Any = caught.value
    assert type(raised) is error
    assert raised.vendor_code == (code if code != "SomethingNew" else "")
    assert "SomethingNew" not in str(raised)
    assert "words" not in str(raised)
    if error is ConfigurationError:
        assert raised.endpoint_only  # one channel is dead, not the restaurant's Teams


@pytest.mark.parametrize(("status", "headers"), [(202, {}), (200, {"x_ms_request_id": "r-1"})])
def test_accepted(status: int, headers: dict[str, str]) -> None:
    assert outcome(status, **headers).vendor_id == ""
    assert outcome(status, **headers, x_ms_workflow_run_id="run-1").vendor_id == "run-1"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [({}, 60.0), ({"retry_after": "7"}, 7.0), ({"retry_after": "soon"}, 60.0)],
)
def test_how_long_to_wait(headers: dict[str, str], wait_s: float) -> None:
    with pytest.raises(RateLimited) as caught:
        outcome(429, **headers)
    assert caught.value.retry_after_s == wait_s


# --- the URL --------------------------------------------------------------------------------------

PATH = "/workflows/0123/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Frun&sig=a%2Bb"


@pytest.mark.parametrize(
    "url",
    [
        f"https://env.0a.environment.api.powerplatform.com:443/powerautomate/automations/direct{PATH}",
        f"https://env.0a.environment.api.powerplatform.com/powerautomate/automations/direct/cu/12{PATH}",
        f"https://prod-01.westus.logic.azure.com:443{PATH}",
    ],
)
def test_every_shape_of_url_is_kept_to_the_letter(url: str) -> None:
    request = files.provider("teams", webhook_url=f" {url}\n").request(files.message("teams"))
    assert (request.url, request.untrusted_url) == (url, True)


def test_a_sandbox_account_keeps_path_and_signature() -> None:
    provider = files.provider(
        "teams",
        base_url="http://127.0.0.1:8001/teams",
        webhook_url=f"https://prod-01.westus.logic.azure.com{PATH}",
    )
    assert provider.request(files.message("teams")).url == f"http://127.0.0.1:8001/teams{PATH}"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.webhook.office.com/webhookb2/x/IncomingWebhook/y/z?sig=1",
        "https://webhook.office.com/x?sig=1",
        "https://outlook.office.com/webhook/x/IncomingWebhook/y/z",
        "https://outlook.office365.com/webhook/x",
    ],
)
def test_the_switched_off_connectors_are_refused_with_what_to_do(url: str) -> None:
    with pytest.raises(ConfigurationError, match="create a workflow") as caught:
        files.provider("teams", webhook_url=url)
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://prod-01.westus.logic.azure.com{PATH}",
        "https://prod-01.westus.logic.azure.com/workflows/1/triggers/x",
        "https://prod-01.westus.logic.azure.com/workflows/1/triggers/x?sig=",
        "x",
        "https://[",
    ],
)
def test_urls_that_cannot_work(url: str) -> None:
    with pytest.raises(ConfigurationError, match="webhook_url") as caught:
        files.provider("teams", webhook_url=url)
    assert url == "x" or url not in str(caught.value)


# --- the card -------------------------------------------------------------------------------------


def card_of(**changes: Any) -> Any:
    payload = json.loads(files.provider("teams").request(files.message("teams", **changes)).body)
    assert payload["type"] == "message"
    [attachment] = payload["attachments"]
    assert attachment["contentUrl"] is None
    return attachment["content"]


def test_nothing_a_customer_typed_is_markdown() -> None:
    attack = "*x* _y_ [click](https://evil.example) `z` ~w~ \\"
    escaped = "\\*x\\* \\_y\\_ \\[click\\](https://evil.example) \\`z\\` \\~w\\~ \\\\"
    card = card_of(text=f"{attack}!", subject=attack, order={"number": attack})
    assert [e["text"] for e in card["body"] if e["type"] == "TextBlock"][:2] == [
        escaped,
        f"{escaped}!",
    ]
    [facts] = [e["facts"] for e in card["body"] if e["type"] == "FactSet"]
    assert facts == [{"title": "Order", "value": escaped}]


@pytest.mark.parametrize("char", ["x", "*", "я", "😀", '"', "\n", "\\", "\x01", "\x7f"])
def test_a_card_stays_under_20_kb_whatever_it_says(char: str) -> None:
    long = "a" + char * 30_000 + "z"
    order = dict.fromkeys(("number", "state_label", "source", "eta_time", "reason"), long[:600])
    links = {"order": "https://x/" + "a" * 1990, "acknowledge": "https://x/" + "b" * 3000}
    message = files.message("teams", text=long, subject=long, order=order, links=links)
    body = files.provider("teams").request(message).body
    assert len(body) <= 20_000
    elements = json.loads(body)["attachments"][0]["content"]["body"]
    kinds = [element["type"] for element in elements]
    is_left_out = char in "\x01\x7f"  # then title and text are the same two letters
    texts = ["TextBlock"] * (1 if is_left_out else 2)
    assert kinds == [*texts, "FactSet", "TextBlock"]
    assert len(json.loads(body)["attachments"][0]["content"]["actions"]) == 1


def test_the_version_and_the_elements_teams_shows() -> None:
    card = card_of()
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {element["type"] for element in card["body"]} == {"TextBlock", "FactSet"}
    # a click on anything else needs a bot
    assert {action["type"] for action in card["actions"]} == {"Action.OpenUrl"}


def test_a_message_without_words_still_says_something() -> None:
    card = card_of(text=" \x00", subject="", order={}, links={})
    assert card["fallbackText"] == card["body"][0]["text"] == "Order Up"


def test_a_message_of_one_line_says_it_once() -> None:
    card = card_of(text="Order 7 is late", subject="", order={}, links={})
    assert [e["type"] for e in card["body"]] == ["TextBlock", "TextBlock"]
    assert card["body"][0]["text"] == "Order 7 is late"
    assert card["actions"] == []


@pytest.mark.parametrize("link", ["javascript:alert(1)", "", "ftp://x"])
def test_only_web_links_become_buttons(link: str) -> None:
    assert card_of(links={"order": link})["actions"] == []


# --- words from staff -----------------------------------------------------------------------------


def call(body: bytes, token: str = TOKEN) -> InboundCall:
    digest = hmac.new(base64.b64decode(token), body, hashlib.sha256).digest()
    headers = {
        "content-type": "application/json",
        "authorization": f"HMAC {base64.b64encode(digest).decode()}",
    }
    return InboundCall("POST", HOOK, headers, body, NOW)


def test_the_vendors_signature_vector() -> None:
    body = b'{"type":"message","text":"<at>Orders</at> status 4711"}'
    made = call(body)
    assert made.headers["authorization"] == "HMAC 307psssfWnjTcOxb4IKgeXShobGFv/wcpDfPC7urFa8="
    assert files.provider("teams").replies(made) == []  # without an id it cannot be stored once
    for given in (
        made.headers["authorization"].replace("307", "308"),
        made.headers["authorization"].removeprefix("HMAC "),
        base64.b64decode(made.headers["authorization"][5:]).hex(),
        "",
    ):
        with pytest.raises(SignatureInvalid):
            files.provider("teams").replies(replace(made, headers={"authorization": given}))
    for altered in (body + b" ", body.replace(b"4711", b"4712"), b""):
        with pytest.raises(SignatureInvalid):
            files.provider("teams").replies(replace(made, body=altered))


def test_without_a_token_nothing_is_believed() -> None:
    with pytest.raises(SignatureInvalid, match="no signing key"):
        files.provider("teams", outgoing_token="").replies(call(b"{}"))


@pytest.mark.parametrize("name", ["outgoing_token", "previous_outgoing_token"])
@pytest.mark.parametrize("token", ["%%%", "abc", "schlüssel=", "the name of the webhook"])
def test_a_token_that_was_not_copied_whole_is_refused_at_once(name: str, token: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}' is not the base64") as caught:
        files.provider("teams", **{name: token})
    assert token not in str(caught.value)


def test_the_previous_token_counts_while_it_is_set() -> None:
    old = base64.b64encode(b"the old one").decode()
    body = json.dumps({"type": "message", "id": "1", "text": "x", "from": {"id": "29:1"}}).encode()
    with pytest.raises(SignatureInvalid):
        files.provider("teams").replies(call(body, old))
    both = files.provider("teams", previous_outgoing_token=f" {old}\n")
    assert len(both.replies(call(body, old))) == len(both.replies(call(body))) == 1


ATTEMPT = "5f0c6f1e-2f6a-4d6a-9a52-0a4e6b1d1042"


@pytest.mark.parametrize(
    ("said", "text", "acknowledged"),
    [
        (f"<at>Orders</at> ack {ATTEMPT}", "", ATTEMPT),
        (f"<at id='0'>Orders</at>\nSeen: {ATTEMPT.upper()}", "", ATTEMPT),
        ("<at>Orders</at> ack", "ack", ""),
        (f"<at>Orders</at> what is {ATTEMPT}?", f"what is {ATTEMPT}?", ""),
        (f"<at>Orders</at> acknowledgement {ATTEMPT}", f"acknowledgement {ATTEMPT}", ""),
        ("<p><at>Orders</at>&nbsp;a &lt; b</p>", "a < b", ""),
        (None, "", ""),
    ],
)
def test_what_staff_say(said: str | None, text: str, acknowledged: str) -> None:
    activity = {"type": "message", "id": "1", "text": said, "from": {"id": "29:1"}}
    [reply] = files.provider("teams").replies(call(json.dumps(activity).encode()))
    assert (reply.text, reply.action.get("value", ""), reply.sender) == (text, acknowledged, "29:1")


@pytest.mark.parametrize(
    "activity",
    [
        {"type": "conversationUpdate", "id": "1", "from": {"id": "29:1"}},
        {"type": "message", "from": {"id": "29:1"}},
        {"type": "message", "id": "1", "from": None},
        {"id": "1"},
        {},
    ],
)
def test_other_activities_are_none_of_our_business(activity: object) -> None:
    assert files.provider("teams").replies(call(json.dumps(activity).encode())) == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"null"])
def test_a_signed_body_that_is_no_activity(body: bytes) -> None:
    with pytest.raises(PayloadMalformed):
        files.provider("teams").replies(call(body))


@pytest.mark.parametrize(
    ("when", "moment"),
    [
        ("2026-03-14T22:42:05Z", NOW),
        ("2026-03-14T22:42:05", NOW),
        ("soon", None),
        (None, None),
        (1, None),
    ],
)
def test_times(when: object, moment: datetime | None) -> None:
    person = {"id": "29:1"}
    activity = {"type": "message", "id": "1", "text": "x", "from": person, "timestamp": when}
    [reply] = files.provider("teams").replies(call(json.dumps(activity).encode()))
    assert reply.occurred_at == moment


def test_the_channel_is_told_that_we_heard() -> None:
    answer = files.provider("teams").answer(call(b"{}"))
    assert json.loads(answer.body) == {"type": "message", "text": "Noted."}
    assert answer.content_type == "application/json"
