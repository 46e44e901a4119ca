"""manage.py replay_source: recorded payloads in, orders out, the same ones every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice, permutations
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.db import connection, transaction

from orders.recordings import Recording, UnreadableRecording, load_recording
from orders.replay import Replay, open_house
from orders.replay_output import replayed_orders
from orders.selectors import clear_caches
from tests.integrations.sources.payload_files import FIXTURES, names
from tests.orders.senders import MAPPED, SOURCES, samples

ROOT = FIXTURES.parent.parent
LIFE = names("cloudevents", "structured_*")


def files(key: str, *wanted: str) -> list[str]:
    return [str(FIXTURES / key / f"{name}.json") for name in wanted]


def replayed(
    key: str, said: Sequence[str | Recording], **settings: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """The orders and notes of one replay; the rows it wrote are taken back."""
    recordings = [load_recording(one) if isinstance(one, str) else one for one in said]
    with transaction.atomic():
        account = open_house(key, settings, MAPPED.get(key))
        replay = Replay(account)
        replay.play(recordings)
        orders = replayed_orders(account)
        transaction.set_rollback(True)
    clear_caches()
    assert replay.problems == []
    return orders, replay.notes


def bare(path: str) -> Recording:
    """A fixture as somebody keeps it who saves bodies only."""
    held = json.loads(Path(path).read_text())
    return Recording(path, json.dumps(held["body"]).encode())


@pytest.mark.django_db
def test_a_whole_life_of_an_order() -> None:
    (order, other), _ = replayed("cloudevents", files("cloudevents", *LIFE, "binary_preparing"))
    assert (order["external_id"], order["display"], order["state"]) == (
        "WEB-1042",
        "42",
        "delivered",
    )
    assert {part["ref"]: part["state"] for part in order["parts"]} == {
        "bowl-1": "delivered",
        "bowl-2": "cancelled",
        "bowl-3": "delivered",
    }
    assert order["times"]["promised_at"] == "2026-03-14T18:45:00Z"
    assert other["external_id"] == "WEB-1043"
    assert other["state"] == "cancelled"
    assert other["reason"] == {"code": "customer_request", "text": "guest called"}


@pytest.mark.django_db
def test_the_order_of_the_files_does_not_matter() -> None:
    paths = files("cloudevents", *LIFE, "binary_preparing")
    expected, _ = replayed("cloudevents", paths)
    shuffled = [Random(seed).sample(paths, len(paths)) for seed in range(12)]
    for some in [paths[::-1], paths * 2, *shuffled]:
        assert replayed("cloudevents", some)[0] == expected
    first_four = paths[:4]
    expected, _ = replayed("cloudevents", first_four)
    for some_four in islice(permutations(first_four), 1, None):
        assert replayed("cloudevents", list(some_four))[0] == expected


@pytest.mark.django_db
@pytest.mark.parametrize("is_first", [True, False])
def test_square_with_two_pickups(is_first: bool) -> None:
    paths = files("square", "get_order_two_pickups", "order_created", "order_updated")
    (order,), _ = replayed("square", paths if is_first else paths[::-1])
    assert order["state"] == "preparing"
    assert order["display"] == "Sample 42"
    assert {part["ref"]: part["state"] for part in order["parts"]} == {
        "VWJ1N9leLqjSDLvF2hvYjD": "ready",
        "k2QeM7sTq1aZb9Yx0000Aa": "preparing",
    }
    assert [part["contents"] for part in order["parts"]] != [[], []]


@pytest.mark.django_db
def test_an_event_about_a_part_is_answered_with_its_order() -> None:
    event = "fulfillment_orders_line_items_prepared_for_pickup"
    (order,), _ = replayed("shopify", files("shopify", event, "graphql_two_parts"))
    assert {part["ref"]: part["state"] for part in order["parts"]} == {
        "1046000780": "ready",
        "1046000782": "accepted",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("arrival", list(permutations(range(3))))
def test_an_event_and_a_plain_list_of_parts_find_each_other(arrival: tuple[int, ...]) -> None:
    event = "fulfillment_orders_line_items_prepared_for_pickup"
    paths = files("shopify", "fulfillments_create", event, "get_order_fulfillment_orders")
    (order,), _ = replayed("shopify", [paths[place] for place in arrival])
    assert {part["ref"]: part["state"] for part in order["parts"]} == {"1046000780": "ready"}
    assert [part["label"] for part in order["parts"]] == ["IPod Nano - 8gb (red)"]


@pytest.mark.django_db
@pytest.mark.parametrize("is_first", [True, False])
def test_each_event_is_answered_by_what_was_fetched_after_it(is_first: bool) -> None:
    """Uber gives the order no version: what was fetched later is told by who asked for it."""
    notices = [json.loads(bare(p).body) for p in files("uber_eats", "orders_notification")] * 2
    (answer,) = [json.loads(bare(p).body) for p in files("uber_eats", "get_order_courier_en_route")]
    number = notices[0]["meta"]["resource_id"]
    asked = [
        {**one, "event_id": f"e{place}", "event_time": one["event_time"] + 60 * place}
        for place, one in enumerate(notices)
    ]
    early = {**answer, "id": number, "deliveries": []}
    late = {**early, "cart": {"items": answer["cart"]["items"][:1]}}
    life = [asked[0], early, asked[1], late]
    said = [Recording(f"{n}.json", json.dumps(one).encode()) for n, one in enumerate(life)]
    if not is_first:
        said = [said[2], said[3], said[0], said[1]]
    (order,), _ = replayed("uber_eats", said)
    assert [item["label"] for item in order["items"]] == ["Harvest Bowl"]


@pytest.mark.django_db
def test_orders_of_one_file_are_orders_of_their_own() -> None:
    events = [json.loads(bare(path).body) for path in files("cloudevents", LIFE[0], LIFE[8])]
    batch = Recording("batch.json", json.dumps(events).encode())
    orders, _ = replayed("cloudevents", [batch])
    assert [(o["external_id"], o["state"]) for o in orders] == [
        ("WEB-1042", "received"),
        ("WEB-1043", "cancelled"),
    ]


@pytest.mark.django_db
def test_a_courier_finds_its_order_however_far_apart_they_were_recorded() -> None:
    paths = files("uber_eats", "get_order_courier_en_route", "direct_delivery_status_delivered")
    expected = ("f9f363d1-e1c2-4595-b477-c649845bc953", "out_for_delivery", 2)
    for some in (paths, paths[::-1]):
        (order,), _ = replayed("uber_eats", some)
        assert (order["external_id"], order["state"], len(order["legs"])) == expected


@pytest.mark.django_db
def test_settings_of_the_account_count() -> None:
    paths = files("square", "get_order_two_pickups")
    (order,), _ = replayed("square", paths, reserved_means="accepted")
    assert "accepted" in {part["state"] for part in order["parts"]}


@pytest.mark.django_db
def test_a_courier_alone_is_shown_and_said() -> None:
    (order,), notes = replayed(
        "grubhub", files("grubhub", "delivery_created", "delivery_delivered")
    )
    assert order["state"] == "delivered"
    assert [leg["state"] for leg in order["legs"]] == ["delivered"]
    assert (order["external_id"], order["fulfillment"]) == ("WEB-1042", "delivery")
    assert any("only a courier's news" in note for note in notes)


@pytest.mark.django_db
def test_what_means_nothing_is_said() -> None:
    orders, notes = replayed("olo", files("olo", "test_event"))
    assert orders == []
    assert len(notes) == 1
    assert "test_event.json" in notes[0]


@pytest.mark.django_db
def test_raw_bodies_and_wrappers_say_the_same(tmp_path: Path) -> None:
    wrapped = files("woocommerce", "order_created_processing")
    raw = tmp_path / "raw.json"
    raw.write_text(json.dumps(json.loads(Path(wrapped[0]).read_text())["body"]))
    assert replayed("woocommerce", [str(raw)])[0] == replayed("woocommerce", wrapped)[0]
    held = json.loads(Path(files("cloudevents", "binary_preparing")[0]).read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"http_headers": held["headers"], "http_body": held["body"]}))
    (order,), _ = replayed("cloudevents", [str(other)])
    assert order["state"] == "preparing"


@pytest.mark.django_db
def test_rest_bodies_count_in_the_order_given(tmp_path: Path) -> None:
    paths = []
    for state in ("preparing", "received", "ready"):
        path = tmp_path / f"{state}.json"
        path.write_text(json.dumps({"order": {"id": "A1"}, "state": state}))
        paths.append(str(path))
    assert replayed("rest", paths)[0][0]["state"] == "ready"
    assert replayed("rest", [paths[2], paths[0]])[0][0]["state"] == "preparing"


@pytest.mark.django_db
@pytest.mark.parametrize("key", SOURCES)
def test_all_recordings_of_a_source_in_any_order_and_form(key: str) -> None:
    paths = files(key, *samples(key))
    orders, notes = replayed(key, paths)
    assert orders
    assert replayed(key, paths) == (orders, notes)
    dice = Random(1042)
    for some in (paths[::-1], paths * 2, *(dice.sample(paths, len(paths)) for _ in range(6))):
        assert replayed(key, some)[0] == orders
    if "binary" not in "".join(paths):  # what such a call says of itself is in its headers alone
        assert replayed(key, [bare(path) for path in paths])[0] == orders


@pytest.mark.django_db
@pytest.mark.parametrize("key", SOURCES)
def test_each_recording_alone_means_an_order_or_says_why_not(key: str) -> None:
    for path in files(key, *samples(key)):
        orders, notes = replayed(key, [path])
        assert orders or notes, path


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"specversion": "1.0", "id": "x"}', b"x"])
def test_a_body_nobody_can_read_is_named_and_does_not_stop_the_others(body: bytes) -> None:
    account = open_house("cloudevents", {})
    replay = Replay(account)
    replay.play([Recording("odd.json", body), load_recording(files("cloudevents", LIFE[0])[0])])
    assert [problem.partition(": ")[0] for problem in replay.problems] == ["odd.json"]
    assert [order["external_id"] for order in replayed_orders(account)] == ["WEB-1042"]


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecording, match=r"gone\.json: No such file"):
        load_recording(str(tmp_path / "gone.json"))


@pytest.mark.django_db
def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(LookupError, match="square has no setting 'colour'"):
        open_house("square", {"colour": "red"})


# --- the command itself, in a process of its own -------------------------------------------------


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command against the server of the tests, as a person would run it."""
    return subprocess.run(
        [sys.executable, "manage.py", "replay_source", *arguments],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def left_over() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'order_up_replay_%'")
        return [name for (name,) in cursor.fetchall()]


@pytest.mark.django_db
def test_the_command_prints_json_and_leaves_no_database() -> None:
    before = left_over()
    done = run("square", *files("square", "order_updated", "get_order_two_pickups"))
    assert done.returncode == 0, done.stderr
    (order,) = json.loads(done.stdout)
    assert order["external_id"] == "eA3vssLHKJrv9H0IdJCM3gNqfdcZY"
    assert done.stderr == ""
    assert left_over() == before


@pytest.mark.django_db
def test_the_command_names_what_it_cannot_read_and_prints_the_rest(tmp_path: Path) -> None:
    before = left_over()
    torn = tmp_path / "torn.json"
    torn.write_bytes(b'{"a": ')
    done = run("cloudevents", *files("cloudevents", LIFE[0]), str(torn))
    assert done.returncode == 1
    assert done.stderr.startswith(f"CommandError: {torn}: the body is not JSON")
    assert [order["external_id"] for order in json.loads(done.stdout)] == ["WEB-1042"]
    assert left_over() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("square", "nowhere.json"), "CommandError: nowhere.json: No such file or directory"),
        (("square", "--setting", "x", "-"), "--setting x: expected NAME=VALUE"),
        (("square", "--map", "a=b", "-"), "--map a=b: expected STREAM:NATIVE=STATE"),
        (("square", "--map", "a:b=c", "-"), "--map a:b=c: expected STREAM:NATIVE=STATE"),
        (("squares", "nowhere.json"), "invalid choice: 'squares'"),
    ],
)
def test_the_command_refuses_nonsense_in_words(arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert done.stdout == ""


@pytest.mark.django_db
def test_a_manager_can_say_what_a_status_means() -> None:
    paths = files("woocommerce", "order_updated_custom_status")
    done = run("woocommerce", "--map", "order:ready-for-pickup=ready", *paths)
    assert [order["state"] for order in json.loads(done.stdout)] == ["ready"]
    unmapped = run("woocommerce", *paths)
    assert [order["state"] for order in json.loads(unmapped.stdout)] == ["received"]
    assert "unknown state: order ready-for-pickup" in unmapped.stderr
