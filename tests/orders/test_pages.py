"""The staff board and the guest's order page, as their readers get them."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from orders import board as board_module
from orders.board import Board, Ticket, board_tickets, staff_order
from orders.colours import contrast, readable
from orders.models import Observation, Order
from orders.page_data import OrderPage, order_page, restaurant_ids_of
from tests.factories import (
    make_call,
    make_customer,
    make_event,
    make_location,
    make_manager,
    make_order,
    make_restaurant,
    make_source_account,
)

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 23, 36, tzinfo=UTC)


def minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


def page_of(order: Order, now: datetime = NOW) -> OrderPage:
    page = order_page(order.public_id, now)
    assert page is not None
    return page


def tickets(board: Board) -> dict[str, list[Ticket]]:
    return {lane.key: list(lane.tickets) for lane in board.lanes}


def signed_in(client: Client, restaurant: Any) -> Client:
    client.force_login(make_manager(restaurant))
    return client


# -- the board: what is on it -----------------------------------------------------------------


def test_lanes_by_state_and_urgency() -> None:
    here = make_restaurant()
    for display, state, due in (
        ("1", "received", 30),
        ("2", "accepted", 10),
        ("3", "preparing", 20),
        ("4", "ready", 0),
        ("5", "picked_up", 0),
    ):
        make_order(here, display=display, state=state, promised_at=minutes(due))
    make_order(here, display="6", state="out_for_delivery", fulfillment="delivery")
    make_order(display="7", state="preparing")
    board = board_tickets([here.pk], NOW)
    assert {key: [t.number for t in lane] for key, lane in tickets(board).items()} == {
        "new": ["2", "1"],
        "kitchen": ["3"],
        "ready": ["4"],
        "road": ["6"],
    }
    assert board.open_count == 5


def test_ticket_carries_one_fact_per_line() -> None:
    here = make_restaurant()
    square = make_source_account(here, source="square", name="Square")
    make_order(
        account=square,
        display="114",
        state="preparing",
        subject=make_customer(here, name="Maya Alvarez"),
        fulfillment="dine_in",
        detail={"table": "4"},
        est_ready_at=minutes(6),
        parts=[
            {"label": "Miso ramen", "state": "ready"},
            {"label": "Tofu bowl", "est_ready_at": minutes(6)},
        ],
        items=[{"label": "Tea", "quantity": 2, "modifiers": ["iced", "no sugar"]}],
    )
    [ticket] = tickets(board_tickets([here.pk], NOW))["kitchen"]
    assert (ticket.number, ticket.guest, ticket.fulfillment, ticket.table, ticket.source) == (
        "114",
        "Maya",
        "Dine-in",
        "4",
        "Square",
    )
    assert ticket.time == "18:42 (in 6 min)"
    assert ticket.parts_sentence == "1 of 2 ready, the last one in about 6 min"
    assert [(c.label, c.word) for c in ticket.chips] == [
        ("Miso ramen", "ready"),
        ("Tofu bowl", "6 min"),
    ]
    [line] = ticket.items
    assert (line.quantity, line.label, line.modifiers) == ("2", "Tea", "iced, no sugar")
    assert "Alvarez" not in repr(ticket)


def test_what_staff_must_decide_is_written_on_the_ticket() -> None:
    here = make_restaurant()
    order = make_order(here, state="ready", flags=["courier_failed"], fulfillment="delivery")
    make_event(order, "ready", at=minutes(-3))
    make_event(order, "picked_up", at=minutes(-1), held="contradicts_fulfillment")
    [ticket] = tickets(board_tickets([here.pk], NOW))["ready"]
    assert ticket.notes == (
        "The courier run failed. Somebody must decide.",
        "“Picked up” was held back: the guest was not told.",
    )


@pytest.mark.parametrize(
    ("state", "fulfillment", "expected"),
    [
        ("received", "pickup", ["preparing", "ready", "cancelled"]),
        ("accepted", "delivery", ["preparing", "ready", "cancelled"]),
        ("preparing", "pickup", ["ready", "cancelled"]),
        ("ready", "pickup", ["picked_up", "cancelled"]),
        ("ready", "delivery", ["out_for_delivery", "delivered", "cancelled"]),
        ("out_for_delivery", "delivery", ["delivered", "cancelled"]),
        ("delivered", "delivery", []),
        ("cancelled", "pickup", []),
    ],
)
def test_buttons_are_the_next_steps(state: str, fulfillment: str, expected: list[str]) -> None:
    made = board_module.actions(Order(state=state, fulfillment=fulfillment))
    assert [action.state for action in made] == expected
    assert [a.state for a in made if a.is_primary] == [s for s in expected[:1] if s != "cancelled"]


def test_strip_counts_what_is_late_and_who_is_silent() -> None:
    here = make_restaurant()
    make_source_account(here, name="Square", last_call_at=minutes(-4))
    make_source_account(here, name="Toast")
    make_source_account(here, name="Old", enabled=False)
    make_order(here, state="preparing", est_ready_at=minutes(-2))
    make_order(here, state="preparing", est_ready_at=minutes(3))
    board = board_tickets([here.pk], NOW)
    assert [(i.label, i.value, i.tone) for i in board.strip] == [
        ("open", "2", "fine"),
        ("late", "1", "bad"),
        ("due soon", "1", "risk"),
        ("Square", "4 min ago", "fine"),
        ("Toast", "no news yet", "quiet"),
        ("Old", "switched off", "quiet"),
    ]


def test_board_reads_a_fixed_number_of_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    here = make_restaurant()
    account = make_source_account(here)
    for _ in range(12):
        make_order(account=account, state="preparing", items=["Tea"], parts=[{}, {}])
    with django_assert_num_queries(7):
        board_tickets([here.pk], NOW)


def test_a_full_board_says_that_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "BOARD_LIMIT", 2)
    here = make_restaurant()
    for number in (1, 2, 3):
        make_order(here, display=str(number), placed_at=minutes(number))
    board = board_tickets([here.pk], NOW)
    assert board.is_cut
    assert [t.number for t in tickets(board)["new"]] == ["1", "2"]


def test_board_version_changes_with_what_it_shows() -> None:
    order = make_order(state="preparing", est_ready_at=minutes(6))
    ids = [order.restaurant_id]
    first = board_tickets(ids, NOW).version
    assert board_tickets(ids, NOW + timedelta(seconds=10)).version == first
    assert board_tickets(ids, minutes(1)).version != first


# -- the board: who may see and press -----------------------------------------------------------


def test_the_board_asks_for_a_login(client: Client) -> None:
    for name in ("board", "board-live"):
        answer = client.get(reverse(name))
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


def test_managers_see_their_restaurants_only(client: Client) -> None:
    mine, theirs = make_order(display="mine-1"), make_order(display="theirs-2")
    signed_in(client, mine.restaurant)
    text = client.get(reverse("board")).content.decode()
    assert "mine-1" in text
    assert "theirs-2" not in text
    assert restaurant_ids_of(make_manager(is_superuser=True)) == sorted(
        [mine.restaurant_id, theirs.restaurant_id]
    )
    assert staff_order(theirs.public_id, [mine.restaurant_id], NOW) is None


def test_a_manager_of_nothing_is_told_what_to_do(client: Client) -> None:
    make_order(display="theirs-2")
    text = signed_in(client, None).get(reverse("board")).content.decode()
    assert "You manage no restaurant yet" in text
    assert "theirs-2" not in text


def test_an_empty_board_and_unread_calls_say_so(client: Client) -> None:
    account = make_source_account()
    make_call(account, at=NOW, state="quarantined")
    text = signed_in(client, account.restaurant).get(reverse("board")).content.decode()
    assert "No open orders" in text
    assert "1 call from a source could not be read" in text
    assert 'href="/admin/orders/inboundcall/?standing=stuck"' in text


def test_a_button_adds_a_manual_observation(client: Client) -> None:
    order = make_order(state="preparing", display="114")
    make_event(order, "preparing", at=timezone.now() - timedelta(minutes=5))
    signed_in(client, order.restaurant)
    answer = client.post(reverse("board-update", args=[order.public_id]), {"state": "ready"})
    assert answer.status_code == 302
    assert answer["Location"] == f"/board/#t-{order.public_id}"
    order.refresh_from_db()
    assert order.state == "ready"
    [observation] = Observation.objects.filter(order=order)
    assert (observation.source, observation.state) == ("manual", "ready")
    assert "#114: ready." in client.get(reverse("board")).content.decode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"state": "eaten"}, "That button does not exist"),
        ({"state": "received"}, "That button does not exist"),
        ({}, "That button does not exist"),
        ({"part_ready": "p9"}, "no longer has that part"),
    ],
)
def test_a_wrong_button_changes_nothing(client: Client, data: dict[str, str], said: str) -> None:
    order = make_order(state="preparing", parts=[{}, {}])
    signed_in(client, order.restaurant)
    client.post(reverse("board-update", args=[order.public_id]), data)
    assert said in client.get(reverse("board")).content.decode()
    assert not Observation.objects.exists()


def test_a_button_on_a_finished_order_changes_nothing(client: Client) -> None:
    order = make_order(state="picked_up", display="9")
    signed_in(client, order.restaurant)
    client.post(reverse("board-update", args=[order.public_id]), {"state": "ready"})
    assert "#9 is already picked up." in client.get(reverse("board")).content.decode()
    assert not Observation.objects.exists()


def test_buttons_of_other_restaurants_do_not_exist(client: Client) -> None:
    theirs = make_order(state="preparing")
    signed_in(client, make_restaurant())
    url = reverse("board-update", args=[theirs.public_id])
    assert client.post(url, {"state": "ready"}).status_code == 404
    assert client.get(url).status_code == 405
    assert not Observation.objects.exists()


def test_buttons_need_a_token() -> None:
    order = make_order(state="preparing")
    careful = signed_in(Client(enforce_csrf_checks=True), order.restaurant)
    url = reverse("board-update", args=[order.public_id])
    assert careful.post(url, {"state": "ready"}).status_code == 403
    assert not Observation.objects.exists()


# -- refreshing ---------------------------------------------------------------------------------


def test_board_refresh_answers_304_when_nothing_changed(client: Client) -> None:
    order = make_order(state="ready", display="114")
    signed_in(client, order.restaurant)
    first = client.get(reverse("board-live"))
    body = first.json()
    assert "#114" in body["html"]
    assert "<html" not in body["html"]
    same = client.get(reverse("board-live"), headers={"If-None-Match": first["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    Order.objects.filter(pk=order.pk).update(display="115")
    changed = client.get(reverse("board-live"), headers={"If-None-Match": first["ETag"]})
    assert (changed.status_code, changed.json()["version"] != body["version"]) == (200, True)


def test_order_refresh_matches_the_page_and_stops_at_the_end(client: Client) -> None:
    order = make_order(state="ready")
    page = client.get(reverse("order-page", args=[order.public_id])).content.decode()
    live = client.get(reverse("order-live", args=[order.public_id]))
    body = live.json()
    assert f'data-live-version="{body["version"]}"' in page
    assert (body["is_open"], body["announce"]) == (True, "Ready for pickup.")
    assert live["Cache-Control"] == "private, no-cache"
    Order.objects.filter(pk=order.pk).update(state="picked_up", is_open=False)
    over = client.get(reverse("order-live", args=[order.public_id])).json()
    assert over["is_open"] is False
    done = client.get(reverse("order-page", args=[order.public_id])).content.decode()
    assert "live.js" not in done
    assert "http-equiv" not in done


# -- the guest's page ---------------------------------------------------------------------------


def test_guest_page_says_when_in_the_zone_of_the_location() -> None:
    here = make_restaurant(timezone="America/New_York")
    west = make_location(here, name="Mission", timezone="America/Los_Angeles")
    order = make_order(here, location=west, state="preparing", est_ready_at=minutes(6))
    page = page_of(order)
    assert (page.headline, page.time) == ("Being prepared", "Ready about 15:42 (in 6 min)")


@pytest.mark.parametrize(
    ("fields", "headline", "time"),
    [
        ({"state": "received"}, "We have your order", "The restaurant has not given a time yet."),
        (
            {
                "state": "accepted",
                "promised_at": minutes(30),
                "promised_until": minutes(50),
                "is_scheduled": True,
            },
            "The kitchen has your order",
            "Between 19:06 and 19:26",
        ),
        (
            {"state": "preparing", "est_ready_at": minutes(-7)},
            "Being prepared",
            "Was expected at 18:29, 7 min ago",
        ),
        (
            {
                "state": "out_for_delivery",
                "fulfillment": "delivery",
                "est_delivery_at": minutes(12),
            },
            "On the way to you",
            "With you about 18:48 (in 12 min)",
        ),
        (
            {"state": "preparing", "fulfillment": "delivery", "est_ready_at": minutes(5)},
            "Being prepared",
            "Ready about 18:41 (in 5 min)",
        ),
    ],
)
def test_guest_page_headline_and_time(fields: dict[str, Any], headline: str, time: str) -> None:
    page = page_of(make_order(**fields))
    assert (page.headline, page.time) == (headline, time)


def test_guest_page_of_a_ready_order_says_what_to_do() -> None:
    order = make_order(state="ready", display="114")
    make_event(order, "ready", at=minutes(-3))
    page = page_of(order)
    assert page.time == "Since 18:33, 3 min ago"
    assert page.next_step == "Come to Main Street and say number 114."


def test_guest_page_knows_the_first_name_and_nothing_else(client: Client) -> None:
    here = make_restaurant()
    guest = make_customer(here, name="Maya Alvarez", phone="+12125550142", email="maya@example.com")
    order = make_order(here, subject=guest, state="preparing")
    text = client.get(reverse("order-page", args=[order.public_id])).content.decode()
    assert "for Maya" in text
    for secret in ("Alvarez", "0142", "maya@example.com", str(guest.pk)):
        assert secret not in text


def test_guest_page_escapes_what_menus_and_guests_say(client: Client) -> None:
    here = make_restaurant(name="<b>Bowl</b>")
    guest = make_customer(here, name="<script>alert(1)</script>")
    order = make_order(here, subject=guest, items=["<img src=x onerror=alert(1)>"])
    text = client.get(reverse("order-page", args=[order.public_id])).content.decode()
    assert "<img" not in text
    assert "<script>alert" not in text
    assert "&lt;b&gt;Bowl" in text


def test_guest_page_links_the_courier_only_on_the_way_and_only_https() -> None:
    courier = {"name": "Lena Kim", "tracking_url": "https://track.example.com/1"}
    order = make_order(
        state="out_for_delivery", fulfillment="delivery", detail={"courier": courier}
    )
    page = page_of(order)
    assert (page.courier, page.tracking_url) == ("Lena", "https://track.example.com/1")
    Order.objects.filter(pk=order.pk).update(
        detail={"courier": {"tracking_url": "javascript:alert(1)"}}
    )
    assert page_of(order).tracking_url == ""
    Order.objects.filter(pk=order.pk).update(state="ready", detail={"courier": courier})
    page = page_of(order)
    assert (page.courier, page.tracking_url) == ("", "")


def test_guest_page_works_for_a_screen_reader_and_without_javascript(client: Client) -> None:
    order = make_order(state="preparing")
    text = client.get(reverse("order-page", args=[order.public_id])).content.decode()
    assert 'aria-live="polite"' in text
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in text
    assert 'aria-current="step"' in text
    assert f'href="tel:{order.restaurant.phone}"' in text
    assert text.count("<h1>") == 1
    assert 'name="robots" content="noindex"' in text


def test_guest_page_speaks_the_readers_language(client: Client) -> None:
    order = make_order(state="ready", display="114")
    text = client.get(
        reverse("order-page", args=[order.public_id]), headers={"Accept-Language": "es-MX,es"}
    ).content.decode()
    assert '<html lang="es">' in text
    assert "Listo para recoger" in text
    assert "Ven a Main Street y di el número 114." in text


def test_guest_page_of_nobody_is_404(client: Client) -> None:
    assert client.get(reverse("order-page", args=[uuid.uuid4()])).status_code == 404
    assert client.get(reverse("order-live", args=[uuid.uuid4()])).status_code == 404


def test_guest_page_reads_four_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    order = make_order(parts=[{}, {}, {}], items=["a", "b"])
    with django_assert_num_queries(4):
        page_of(order)


def test_a_brand_colour_is_used_only_where_it_can_be_read() -> None:
    assert page_of(make_order(make_restaurant(accent="#0B5FFF"))).accent_light == "#0B5FFF"
    dark_brand = page_of(make_order(make_restaurant(accent="#003366")))
    assert (dark_brand.accent_light, dark_brand.accent_dark) == ("#003366", "")
    assert page_of(make_order(make_restaurant(accent="red;}x"))).accent_light == ""
    assert not readable("#FFFF00", "#FBFAF7")


# -- weight and contrast ------------------------------------------------------------------------

_CSS = Path(settings.BASE_DIR) / "static" / "orders" / "site.css"


def test_the_guests_page_is_light(client: Client) -> None:
    order = make_order(parts=[{}] * 1, items=[f"Dish {n}" for n in range(40)])
    text = client.get(reverse("order-page", args=[order.public_id])).content
    script = (_CSS.parent / "live.js").stat().st_size
    assert _CSS.stat().st_size < 15_000
    assert len(text) + script + _CSS.stat().st_size < 100_000


@pytest.mark.parametrize("scheme", [0, 1])
def test_every_text_colour_can_be_read(scheme: int) -> None:
    block = re.findall(r":root \{(.*?)\n *\}", _CSS.read_text(), re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([a-z-]+): (?:var\(--[a-z-]+, )?(#[0-9A-F]{6})", block))
    pairs = [
        (text, paper)
        for text in ("ink", "soft", "accent", "amber", "green", "blue")
        for paper in ("paper", "sheet")
    ]
    pairs += [
        ("ink", "amber-soft"), ("amber", "amber-soft"), ("green", "green-soft"),
        ("blue", "blue-soft"), ("ink", "grey-soft"), ("soft", "grey-soft"),
        ("on-accent", "accent"), ("on-amber", "amber-fill"), ("green", "grey-soft"),
        ("amber", "grey-soft"), ("ink", "green-soft"),
    ]  # fmt: skip
    weak = {
        f"{text} on {paper}": round(contrast(colours[text], colours[paper]), 2)
        for text, paper in pairs
        if contrast(colours[text], colours[paper]) < 4.5
    }
    assert weak == {}
