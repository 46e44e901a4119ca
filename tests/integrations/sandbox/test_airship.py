"""The Airship stand-in: what it refuses, what it keeps, and its stream of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contracts import Channel, Choice, HttpRequest, HttpResponse, StreamEvent
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.http import Http, HttpConfig
from integrations.providers.airship import Airship
from tests.integrations import fixture_files as files
from tests.integrations.sandbox.calls import Client
from tests.integrations.sandbox.through import deliver

SETTINGS = {**files.settings("airship"), "master_secret": "m" * 22}
MESSAGE = files.message("airship")
GONE = "channel:00000000-0000-4000-8000-000000000404"


@pytest.fixture(autouse=True)
def account(client: Client) -> None:
    client.register("airship", SETTINGS)


def provider(client: Client, **settings: str) -> Airship:
    return Airship({**SETTINGS, **settings}, base_url=f"{client.url}/airship")


@pytest.mark.parametrize("settings", [{}, {"access_token": ""}], ids=["token", "secret"])
def test_a_push_reaches_a_person(client: Client, settings: dict[str, str]) -> None:
    accepted = deliver(provider(client, **settings), MESSAGE, client.url)
    (kept,) = client.messages(order="1042")
    assert (kept["id"], kept["channel"], kept["to"]) == (accepted.vendor_id, "push", MESSAGE.to)
    assert (kept["subject"], kept["text"]) == (MESSAGE.subject, MESSAGE.text)
    assert kept["attempt"] == MESSAGE.attempt_id
    assert kept["extra"]["opens"] == MESSAGE.links["order"]
    assert SETTINGS["access_token"] not in str(kept)
    assert SETTINGS["app_key"] not in str(kept["raw"]["headers"].get("Authorization", ""))


@pytest.mark.parametrize(
    ("to", "error", "code"),
    [
        ("named_user:bad-audience", RecipientUnreachable, "40202"),
        ("named_user:nobody", RecipientUnreachable, ""),
        (GONE, RecipientUnreachable, "40401"),
        ("named_user:forbidden", ConfigurationError, "40301"),
        ("named_user:throttled", RateLimited, "42900"),
        ("named_user:internal", TransientError, "50000"),
        ("named_user:down", TransientError, "50300"),
    ],
)
def test_people_that_provoke_a_refusal(
    client: Client, to: str, error: type[Exception], code: str
) -> None:
    with pytest.raises((error,)) as caught:
        deliver(provider(client), replace(MESSAGE, to=to), client.url)
    raised: Any = caught.value
    assert (type(raised), raised.vendor_code) == (error, code)
    assert client.messages() == []


def test_nobody_with_the_app_is_taken_and_shown_to_nobody(client: Client) -> None:
    assert deliver(provider(client), replace(MESSAGE, to="named_user:no-device"), client.url)
    assert client.messages() == []


@pytest.mark.parametrize(
    "settings",
    [
        {"app_key": "x" * 22},
        {"access_token": "another"},
        {"access_token": "", "master_secret": "a" * 22},
    ],
)
def test_wrong_credentials(client: Client, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        deliver(provider(client, **settings), MESSAGE, client.url)
    assert caught.value.vendor_code == "40101"


def post(client: Client, change: Callable[[Any], None], path: str = "push") -> HttpResponse:
    request = provider(client).request(MESSAGE)
    body = json.loads(request.body)
    change(body)
    url = f"{client.url}/airship/api/{path}"
    return client.send(replace(request, url=url, body=json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda b: b.update(audience="all"), "audience"),
        (lambda b: b.update(audience={"tag": "vip"}), "audience"),
        (lambda b: b.update(audience={"channel": "cust-77"}), "audience"),
        (lambda b: b.update(audience={"and": [{"named_user": "a"}]}), "audience"),
        (lambda b: b.pop("device_types"), "device_types"),
        (lambda b: b.update(device_types=["pager"]), "device_types"),
        (lambda b: b.pop("notification"), "notification.alert"),
        (lambda b: b["notification"].update(alert1="x"), "notification.alert1"),
        (lambda b: b["notification"]["ios"].update(priority=7), "notification.ios.priority"),
        (
            lambda b: b["notification"]["ios"].update(interruption_level="loud"),
            "notification.ios.interruption_level",
        ),
        (
            lambda b: b["notification"]["ios"].update(collapse_id="x" * 65),
            "notification.ios.collapse_id",
        ),
        (lambda b: b["notification"]["ios"].update(title="x" * 2048), "notification.ios"),
        (
            lambda b: b["notification"]["android"]["extra"].update(number=7),
            "notification.android.extra",
        ),
        (
            lambda b: b["notification"]["android"].update(delivery_priority="urgent"),
            "notification.android.delivery_priority",
        ),
        (lambda b: b["options"].update(expiry=True), "options.expiry"),
        (lambda b: b["options"].update(soon=True), "options.soon"),
        (lambda b: b["campaigns"].update(categories=["x" * 65]), "campaigns.categories"),
        (lambda b: b.update(extra={}), "extra"),
    ],
)
@pytest.mark.parametrize("to", ["push", "push/validate"])
def test_what_the_api_refuses(
    client: Client, change: Callable[[Any], None], path: str, to: str
) -> None:
    answer = post(client, change, to)
    assert answer.status == 400
    assert answer.json()["details"]["path"] == path
    with pytest.raises((MessageRejected, RecipientUnreachable)):
        provider(client).outcome(MESSAGE, answer)
    assert client.messages() == []


def test_a_check_sends_nothing(client: Client) -> None:
    answer = post(client, lambda body: None, "push/validate")
    assert (answer.status, answer.json()["ok"]) == (200, True)
    assert client.messages() == []


def test_the_version_has_to_be_named(client: Client) -> None:
    request = provider(client).request(MESSAGE)
    headers = {**request.headers, "Accept": "application/json"}
    answer = client.send(replace(request, headers=headers))
    assert answer.status == 406
    with pytest.raises(ConfigurationError):
        provider(client).outcome(MESSAGE, answer)


def test_too_many_requests(client: Client) -> None:
    client.control("POST", "faults", {"vendor": "airship", "kind": "429", "retry_after_s": 5})
    with pytest.raises(RateLimited) as caught:
        deliver(provider(client), MESSAGE, client.url)
    assert caught.value.retry_after_s == 5.0


def test_people_devices_and_lists_are_changed(client: Client) -> None:
    made = provider(client, subscription_list="order_alerts")
    device = "ios_channel:9c36e8c7-5a73-47c0-9716-99fd3d4197d5"
    stop = Choice(Channel.PUSH, device, True, "", datetime.now(UTC), "ledger-1")
    for request in (
        made.association_request("a", device.partition(":")[2], "ios"),
        *made.choice_requests(stop),
        *made.erasure_requests(Channel.PUSH, "named_user:a"),
        *made.erasure_requests(Channel.PUSH, device),
    ):
        answer = client.send(request)
        made.raise_for_status(answer)
        assert answer.json()["ok"] is True
    changes = client.control("GET", "airship/changes")["changes"]
    assert [change["path"] for change in changes] == [
        "named_users/associate",
        "channels/subscription_lists",
        "named_users/uninstall",
        "channels/uninstall",
    ]
    refused = client.send(replace(made.association_request("a", ""), body=b"{}"))
    assert refused.status == 400


# --- the stream -----------------------------------------------------------------------------------


def streamed(client: Client, request: HttpRequest, count: int) -> tuple[int, list[StreamEvent]]:
    """The status of a stream and its first ``count`` events, through the network door."""

    async def go() -> tuple[int, list[StreamEvent]]:
        http = Http(HttpConfig(1.0, 0.5, frozenset({client.url})))
        lines = await http.open_lines(request, provider="airship", idle_s=5)
        try:
            found: list[bytes] = []
            while len(found) < count and (batch := await lines.next(within_s=5)):
                found += batch
            return lines.status, [provider(client).stream_event(line) for line in found]
        finally:
            lines.close()
            await http.close()

    return asyncio.run(go())


def cookie(client: Client) -> str:
    request = provider(client).stream_request()

    async def go() -> str:
        http = Http(HttpConfig(1.0, 0.5, frozenset({client.url})))
        lines = await http.open_lines(request, provider="airship", idle_s=5)
        assert lines.status == 307
        lines.close()
        await http.close()
        return lines.cookie()

    return asyncio.run(go())


def test_the_stream_sends_round_once_and_tells_everything(client: Client) -> None:
    made, known = provider(client), cookie(client)
    accepted = deliver(made, MESSAGE, client.url)
    earliest = replace(
        made.stream_request("", known),
        body=b'{"start":"EARLIEST","filters":[{"types":["PUSH_BODY","SEND","OPEN","UNINSTALL"]}]}',
    )
    status, (echo, send) = streamed(client, earliest, 2)
    assert status == 200
    assert [r.vendor_id for e in (echo, send) for r in e.receipts] == [accepted.vendor_id] * 2
    assert echo.receipts[0].attempt_id == MESSAGE.attempt_id
    assert [receipt["kind"] for receipt in client.messages()[0]["receipts"]] == ["queued", "sent"]

    for kind in ("OPEN", "UNINSTALL"):
        happened = {"message": accepted.vendor_id, "type": kind}
        client.control("POST", "airship/events", happened)
    _, later = streamed(client, made.stream_request(send.offset, known), 2)
    assert [one.kind for event in later for one in event.receipts] == ["read"]
    assert len(later[1].gone) == 4
    assert int(later[1].offset) == int(echo.offset) + 3


def test_a_quiet_stream_says_where_it_stands(client: Client) -> None:
    _, (event,) = streamed(client, provider(client).stream_request("", cookie(client)), 1)
    assert (event.receipts, event.offset.isdecimal()) == ((), True)


@pytest.mark.parametrize("name", ["rejected", "aborted"])
def test_a_push_that_could_not_be_handed_over(client: Client, name: str) -> None:
    made, known = provider(client), cookie(client)
    deliver(made, replace(MESSAGE, to=f"named_user:{name}"), client.url)
    body = b'{"start":"EARLIEST"}'
    _, events = streamed(client, replace(made.stream_request("", known), body=body), 2)
    assert [receipt.kind for event in events for receipt in event.receipts] == ["sent", "failed"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"stream_token": "wrong"}, 401),
        ({"app_key": "x" * 22}, 401),
    ],
)
def test_the_stream_of_somebody_else(client: Client, change: dict[str, str], status: int) -> None:
    assert streamed(client, provider(client, **change).stream_request("", "a=b"), 0)[0] == status


def test_a_stream_without_a_start(client: Client) -> None:
    request = provider(client).stream_request("", cookie(client))
    assert streamed(client, replace(request, body=b"{}"), 0)[0] == 400
    assert streamed(client, replace(request, body=b"x"), 0)[0] == 400


def test_nothing_happens_to_a_message_that_is_none(client: Client) -> None:
    refused = client.try_control("POST", "airship/events", {"message": "x"})
    assert refused.status == 400


def test_an_account_needs_a_way_in(client: Client) -> None:
    bad = {"vendor": "airship", "settings": {"app_key": "x" * 22}}
    assert client.try_control("POST", "accounts", bad).status == 400
