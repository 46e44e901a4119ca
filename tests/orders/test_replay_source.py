"""manage.py replay_source: recorded payloads in, orders out, the same ones every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from itertools import islice, permutations
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.db import connection, transaction

from orders.replay import Recording, Replay, UnreadableRecording, load_recording, open_house
from orders.replay_output import replayed_orders
from orders.selectors import clear_caches
from tests.integrations.sources.payload_files import FIXTURES, names
from tests.orders.senders import SOURCES, samples

ROOT = FIXTURES.parent.parent
LIFE = names("cloudevents", "structured_*")


def files(key: str, *wanted: str) -> list[str]:
    return [str(FIXTURES / key / f"{name}.json") for name in wanted]


def replayed(key: str, paths: list[str], **settings: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The orders and notes of one replay; the rows it wrote are taken back."""
    recordings = [load_recording(path) for path in paths]
    with transaction.atomic():
        account = open_house(key, settings)
        replay = Replay(account)
        replay.play(recordings)
        orders = replayed_orders(account)
        transaction.set_rollback(True)
    clear_caches()
    return orders, replay.notes


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
    assert any("only a courier spoke" in note for note in notes)


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
def test_nothing_depends_on_the_day_or_the_row(key: str) -> None:
    readable = []
    for path in files(key, *samples(key)):
        with suppress(UnreadableRecording):
            replayed(key, [path])
            readable.append(path)
    once = replayed(key, readable)
    assert replayed(key, readable) == once
    assert once[0]
    assert len(readable) > len(samples(key)) / 2


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"specversion": "1.0", "id": "x"}'])
def test_a_body_nobody_can_read_is_named(body: bytes) -> None:
    account = open_house("cloudevents", {})
    with pytest.raises(UnreadableRecording, match=r"^odd\.json: "):
        Replay(account).play([Recording("odd.json", body), Recording("other.json", b"x")])


def test_a_file_that_is_missing_or_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecording, match=r"gone\.json: No such file"):
        load_recording(str(tmp_path / "gone.json"))
    torn = tmp_path / "torn.json"
    torn.write_bytes(b'{"a": ')
    with pytest.raises(UnreadableRecording, match=r"torn\.json: the body is not JSON"):
        load_recording(str(torn))


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
    assert left_over() == before


@pytest.mark.django_db
def test_the_command_fails_by_name_and_leaves_no_database() -> None:
    before = left_over()
    paths = [*files("cloudevents", "structured_1_received"), *files("square", "order_updated")]
    done = run("cloudevents", *paths)
    assert done.returncode == 1
    assert "square/order_updated.json: " in done.stderr
    assert done.stdout == ""
    assert left_over() == before
