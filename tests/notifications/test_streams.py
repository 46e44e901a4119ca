"""Receipts that nobody posts: a whole order at Airship, read back from its stream."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from consents.models import ContactAddress, SubjectAddress
from integrations.contracts import HttpRequest
from integrations.errors import TransientError
from integrations.http import http_door, run
from notifications import streams
from notifications.models import (
    Delivery,
    Heartbeat,
    ProviderAccount,
    Receipt,
    Route,
    StreamPosition,
)
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from tests.factories import make_address, make_provider_account
from tests.integrations import fixture_files as files
from tests.stage import Stage

GUEST = "named_user:0c1a5f0e-77aa-4c57-9a3e-000000000077"
PHONE = "ios_channel:9c36e8c7-5a73-47c0-9716-99fd3d4197d5"
#: of one push the stream tells its echo, that it was sent, and that the app is gone
THIRD = "1000059326003"
HASTY = streams.Patience(
    idle_s=2, report_s=0.2, first_pause_s=0.01, longest_pause_s=0.05, most_failures=3
)


@pytest.fixture
def airship(stage: Stage) -> ProviderAccount:
    """The restaurant's app, its guests told by push only."""
    account = make_provider_account(
        stage.restaurant, provider="airship", settings=files.settings("airship"), rate_per_s=0
    )
    register_with_sandbox([account])
    Route.objects.filter(name="Guest: progress").update(steps=[{"channel": "push", "when": "now"}])
    clear_caches()
    control(stage, "settings", sent_after_ms=0, delivered_after_ms=0)
    return account


def control(stage: Stage, path: str, **wanted: Any) -> Any:
    request = HttpRequest.post(f"{stage.sandbox.url}/_sandbox/{path}", json_body=wanted)
    answer = run(http_door().send(request, provider="sandbox"))
    assert answer.status == 200, answer.text()
    return answer.json()


def guest_with_app(stage: Stage, account: ProviderAccount, value: str = GUEST) -> ContactAddress:
    """The guest of order 1042 and the app they use."""
    subject = stage.order().subject
    assert subject is not None
    address = make_address(
        stage.restaurant, channel="push", value=value, region="", bound_to=account.token
    )
    SubjectAddress.objects.create(subject=subject, address=address)
    return address


def until(seen: Callable[[], bool], *, within_s: float = 8) -> Callable[[], bool]:
    """A reason to stop reading: ``seen``, or a test that waits for too long."""
    deadline = datetime.now(UTC) + timedelta(seconds=within_s)

    def is_over() -> bool:
        assert datetime.now(UTC) < deadline, "nothing came"
        return seen()

    return is_over


def told(stage: Stage, milestone: str) -> Delivery:
    """The push about one milestone, sent."""
    stage.post(state=milestone)
    stage.settle_and_send()
    return Delivery.objects.get(notification__milestone=milestone, channel="push")


def state(delivery: Delivery) -> str:
    delivery.refresh_from_db()
    return delivery.state


def kinds() -> set[tuple[str, str]]:
    return set(Receipt.objects.values_list("kind", "vendor_code"))


def beginning(account: ProviderAccount) -> None:
    """As if a reader had been here before anything happened."""
    StreamPosition.objects.create(account=account, offset="0", updated_at=datetime.now(UTC))


def test_a_whole_order_and_what_became_of_its_pushes(
    stage: Stage, airship: ProviderAccount
) -> None:
    beginning(airship)
    stage.open(fulfillment={"type": "delivery"})
    guest_with_app(stage, airship)
    sent = {
        name: told(stage, name) for name in ("preparing", "ready", "out_for_delivery", "delivered")
    }
    assert {name: one.state for name, one in sent.items()} == dict.fromkeys(sent, "accepted")
    assert all(one.vendor_id for one in sent.values())
    control(stage, "airship/events", message=sent["delivered"].vendor_id, type="OPEN")

    read = streams.follow(
        account_id=airship.pk,
        is_over=until(lambda: state(sent["delivered"]) == "read"),
        patience=HASTY,
    )
    assert read >= 9
    assert kinds() == {("sent", "PUSH_BODY"), ("sent", "SEND"), ("read", "OPEN")}
    assert {state(one) for one in list(sent.values())[:3]} == {"accepted"}
    assert not Receipt.objects.filter(delivery=None).exists()
    beat = Heartbeat.objects.get(name=f"airship_stream_{airship.pk}")
    assert beat.detail == {"events": read, "failures": 0}
    pushes = stage.messages("airship")
    assert [message["to"] for message in pushes] == [GUEST] * 4
    assert [r["kind"] for r in pushes[-1]["receipts"]] == ["queued", "sent", "opened"]


def test_reading_on_where_it_ended_loses_and_repeats_nothing(
    stage: Stage, airship: ProviderAccount
) -> None:
    beginning(airship)
    stage.open()
    guest_with_app(stage, airship)
    told(stage, "preparing")
    stopped = until(lambda: ("sent", "SEND") in kinds())
    assert streams.follow(account_id=airship.pk, is_over=stopped, patience=HASTY) == 2
    place = StreamPosition.objects.get(account=airship).offset

    ready = told(stage, "ready")  # nobody reads meanwhile
    control(stage, "airship/events", message=ready.vendor_id)
    read = streams.follow(
        account_id=airship.pk, is_over=until(lambda: state(ready) == "read"), patience=HASTY
    )
    assert (read, Receipt.objects.count()) == (3, 5)
    assert int(StreamPosition.objects.get(account=airship).offset) == int(place) + 3

    # a reader killed before it stored its place reads the same events again
    StreamPosition.objects.update(offset="0")
    again = until(lambda: StreamPosition.objects.get().offset == str(int(place) + 3))
    streams.follow(account_id=airship.pk, is_over=again, patience=HASTY)
    assert Receipt.objects.count() == 5


def test_an_echo_answers_for_a_push_that_was_never_answered(
    stage: Stage, airship: ProviderAccount
) -> None:
    beginning(airship)
    stage.open()
    guest_with_app(stage, airship)
    stage.fault(vendor="airship", kind="drop_after_accept", times=1)
    ready = told(stage, "ready")
    assert (ready.state, ready.vendor_id) == ("unknown", "")
    streams.follow(
        account_id=airship.pk, is_over=until(lambda: state(ready) == "accepted"), patience=HASTY
    )
    assert ready.vendor_id
    assert len(stage.messages("airship")) == 1


@pytest.mark.parametrize(
    ("name", "code"), [("rejected", "SEND_REJECTED"), ("aborted", "SEND_ABORTED")]
)
def test_a_push_that_was_not_handed_over_has_failed(
    stage: Stage, airship: ProviderAccount, name: str, code: str
) -> None:
    beginning(airship)
    stage.open()
    address = guest_with_app(stage, airship, f"named_user:{name}")
    ready = told(stage, "ready")
    streams.follow(
        account_id=airship.pk, is_over=until(lambda: state(ready) == "failed"), patience=HASTY
    )
    assert ("failed", code) in kinds()
    address.refresh_from_db()
    assert address.unreachable_at is None  # another phone of the same person may work


@pytest.mark.parametrize(("value", "is_gone"), [(PHONE, True), (GUEST, False)])
def test_a_removed_app_is_not_pushed_to_again(
    stage: Stage, airship: ProviderAccount, value: str, is_gone: bool
) -> None:
    beginning(airship)
    stage.open()
    address = guest_with_app(stage, airship, value)
    ready = told(stage, "ready")
    control(stage, "airship/events", message=ready.vendor_id, type="UNINSTALL")
    streams.follow(
        account_id=airship.pk,
        is_over=until(lambda: StreamPosition.objects.get().offset == THIRD),
        patience=HASTY,
    )
    address.refresh_from_db()
    assert (address.unreachable_at is not None) == is_gone


def test_a_stream_that_ends_is_opened_again(stage: Stage, airship: ProviderAccount) -> None:
    beginning(airship)
    stage.open()
    guest_with_app(stage, airship)
    ready = told(stage, "ready")
    control(stage, "airship/events", message=ready.vendor_id)
    control(stage, "airship/stream", events=1, refuse=[503, 429, 500])
    streams.follow(
        account_id=airship.pk, is_over=until(lambda: state(ready) == "read"), patience=HASTY
    )
    assert Receipt.objects.count() == 3
    assert control(stage, "airship/stream")["opened"] == 3


def test_too_many_failures_are_somebodys_business(stage: Stage, airship: ProviderAccount) -> None:
    control(stage, "airship/stream", refuse=[503] * 9)
    with pytest.raises(TransientError, match="HTTP 503"):
        streams.follow(account_id=airship.pk, is_over=until(bool), patience=HASTY)
    left = control(stage, "airship/stream", refuse=[])
    assert left["opened"] == 0
    assert Heartbeat.objects.filter(name=f"airship_stream_{airship.pk}").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stream_token": ""}, "'stream_token' is missing"),
        ({"stream_token": "revoked"}, "HTTP 401"),
        ({"app_key": "short"}, "'app_key'"),
    ],
)
def test_a_stream_nobody_gives_is_named(
    stage: Stage, airship: ProviderAccount, change: dict[str, str], words: str
) -> None:
    ProviderAccount.objects.filter(pk=airship.pk).update(settings={**airship.settings, **change})
    clear_caches()
    with pytest.raises(streams.StreamRefused, match=words):
        streams.follow(account_id=airship.pk, is_over=until(bool), patience=HASTY)


def test_an_account_without_a_stream(stage: Stage) -> None:
    with pytest.raises(streams.StreamRefused, match="twilio has no stream"):
        streams.follow(account_id=stage.accounts["twilio"].pk, is_over=bool)
    with pytest.raises(streams.StreamRefused, match="no such account"):
        streams.follow(account_id=0, is_over=bool)


def test_an_account_switched_off_while_it_is_read(stage: Stage, airship: ProviderAccount) -> None:
    def switch_off() -> bool:
        ProviderAccount.objects.filter(pk=airship.pk).update(enabled=False)
        clear_caches()
        return False

    with pytest.raises(streams.StreamRefused, match="disabled"):
        streams.follow(account_id=airship.pk, is_over=until(switch_off), patience=HASTY)


def test_one_reader_an_account(stage: Stage, airship: ProviderAccount) -> None:
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            key = 0x7374726D << 32 | airship.pk
            cursor.execute("SELECT pg_advisory_lock(%s)", [key])
            with pytest.raises(streams.StreamRefused, match="another process"):
                streams.follow(account_id=airship.pk, is_over=until(bool), patience=HASTY)
            cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
    finally:
        other.close()
    streams.follow(account_id=airship.pk, is_over=until(lambda: True), patience=HASTY)


def test_lines_nobody_can_read_are_passed_over(stage: Stage, airship: ProviderAccount) -> None:
    view = streams.account_by_id(airship.pk)
    assert view is not None
    reader = streams._Reader(view, streams.provider_for(view), HASTY, bool)
    lines = [b"<html>", b'{"type":"SEND","body":{"push_id":"p"},"offset":"7"}', b"{"]
    streams._take(reader, lines)
    assert StreamPosition.objects.get(account=airship).offset == "7"
    assert Receipt.objects.count() == 1


# --- the command ----------------------------------------------------------------------------------


def run_command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("airship_stream", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_reads_for_a_while(stage: Stage, airship: ProviderAccount) -> None:
    beginning(airship)
    stage.open()
    guest_with_app(stage, airship)
    told(stage, "preparing")
    said = run_command("--for", "0.5")
    assert said.startswith(f"Reading Airship's stream of account {airship.pk}.")
    assert said.endswith(" events read.\n")
    assert Receipt.objects.count() == 2
    told(stage, "ready")
    run_command("--account", str(airship.pk), "--from-now", "--for", "0.2")
    assert Receipt.objects.count() == 2


def test_the_command_names_what_is_wrong(stage: Stage, airship: ProviderAccount) -> None:
    make_provider_account(
        stage.restaurant, provider="airship", name="Second app", settings={**airship.settings}
    )
    with pytest.raises(CommandError, match=r"name one account.*Second app"):
        run_command()
    twilio = stage.accounts["twilio"]
    with pytest.raises(CommandError, match=f"account {twilio.pk}: twilio has no stream"):
        run_command("--account", str(twilio.pk))


# --- people and devices ---------------------------------------------------------------------------


def associate(*arguments: str) -> str:
    out = io.StringIO()
    call_command("airship_associate", *arguments, stdout=out)
    return out.getvalue()


def test_a_device_is_tied_and_untied(stage: Stage, airship: ProviderAccount) -> None:
    device, account = PHONE.partition(":")[2], f"--account={airship.pk}"
    assert associate("a", device, account, "--device-type", "ios") == "tied\n"
    assert associate("a", device, account, "--undo") == "untied\n"
    with urllib.request.urlopen(f"{stage.sandbox.url}/_sandbox/airship/changes") as answer:
        changes = json.load(answer)["changes"]
    assert [(change["path"], change["body"]) for change in changes] == [
        (
            "named_users/associate",
            {"named_user_id": "a", "channel_id": device, "device_type": "ios"},
        ),
        ("named_users/disassociate", {"named_user_id": "a", "channel_id": device}),
    ]
    with pytest.raises(CommandError, match="HTTP 400"):
        associate("a", "", account)
    with pytest.raises(CommandError, match="no enabled Airship account"):
        associate("a", device, f"--account={stage.accounts['twilio'].pk}")
