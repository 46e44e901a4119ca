"""Creating and changing orders."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from orders.api_keys import create_key
from orders.models import (
    InboundCall,
    Location,
    Observation,
    Order,
    OrderEvent,
    Restaurant,
    SourceAccount,
)
from tests.api.bodies import bowls, full_update, soon
from tests.api.conftest import Caller
from tests.factories import make_location, make_order, make_restaurant, make_source_account


def milestones(kind: str) -> list[str]:
    return list(
        OrderEvent.objects.filter(kind=kind)
        .order_by("recorded_at")
        .values_list("milestone", flat=True)
    )


def test_a_new_order_comes_back_whole(api: Caller, location: Location) -> None:
    answer = api.post("orders", bowls("WEB-1"))
    body = answer.json()
    assert answer.status_code == 201
    assert answer["Location"] == body["links"]["self"]
    assert answer["Content-Type"] == "application/json"
    order = Order.objects.get()
    assert body["id"] == str(order.public_id)
    assert body["links"] == {
        "self": f"https://alerts.example.com/api/v1/orders/{order.public_id}",
        "page": f"https://alerts.example.com/o/{order.public_id}/",
        "notifications": f"https://alerts.example.com/api/v1/notifications?order={order.public_id}",
    }
    assert body["object"] == "order"
    assert body["state"] == "accepted"
    assert body["is_open"] is True
    assert body["display"] == "-1"
    assert body["fulfillment"] == {"type": "pickup", "scheduled": False, "table": ""}
    assert [(i["id"], i["label"], i["quantity"]) for i in body["items"]] == [
        ("i1", "Harvest Bowl", 1),
        ("i2", "Miso Soup", 2),
    ]
    assert [(p["id"], p["state"]) for p in body["parts"]] == [
        ("bowl-1", "accepted"),
        ("bowl-2", "accepted"),
    ]
    assert body["external_ids"] == [{"system": "rest", "id": "WEB-1"}]
    assert body["location"] == {"name": location.name, "ids": ["L1"]}
    assert body["customer"] == {"is_known": False, "contact_kind": ""}
    assert api.get(f"orders/{order.public_id}").json() == body


def test_every_member_of_the_update_arrives(api: Caller) -> None:
    update = full_update()
    answer = api.post("orders", update)
    body = answer.json()
    assert answer.status_code == 201
    assert "warnings" not in body
    assert body["customer"] == {"is_known": True, "contact_kind": "direct"}
    assert body["times"]["promised_at"] == update["times"]["promised_at"]
    assert body["times"]["placed_at"] == "2026-03-14T22:00:00.123456Z"
    assert body["items"][1]["quantity"] == 2.5
    assert {"system": "drive", "id": "d-WEB-1042"} in body["external_ids"]
    assert body["reason"] == {"code": "too_busy", "text": "a bus arrived"}
    assert body["legs"][0]["id"] == "leg-1"
    assert body["legs"][0]["courier"]["name"] == "Sam"
    assert body["parts"][1]["contents"] == [{"item_id": "i2", "quantity": 2}]
    told = answer.content.decode()
    assert "12125550143" not in told
    assert "maya@example.com" not in told
    assert "Alvarez" not in told


def test_the_same_id_again_changes_the_order(api: Caller) -> None:
    first = api.post("orders", bowls("WEB-1"))
    second = api.post("orders", {"order": {"id": "WEB-1"}, "state": "cancelled"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]
    assert second.json()["state"] == "cancelled"
    assert second.json()["is_open"] is False
    assert Order.objects.count() == 1


def test_all_writes_of_a_restaurant_share_one_source_account(api: Caller) -> None:
    api.post("orders", bowls("WEB-1"))
    api.post("orders", bowls("WEB-2"))
    account = SourceAccount.objects.get()
    assert (account.source, account.mode) == ("rest", "live")
    assert set(Observation.objects.values_list("source", flat=True)) == {"rest"}
    assert InboundCall.objects.filter(account=account, state="applied").count() == 2


def test_a_source_a_manager_switched_off_takes_nothing(api: Caller) -> None:
    api.post("orders", bowls("WEB-1"))
    SourceAccount.objects.update(enabled=False)
    answer = api.post("orders", bowls("WEB-2"))
    assert answer.status_code == 403
    assert answer.json()["type"].endswith("/source-disabled")
    assert Order.objects.count() == 1


def test_without_a_location_the_problem_says_so(restaurant: Restaurant) -> None:
    make_location(restaurant, external_ids=["A"])
    make_location(restaurant, external_ids=["B"])
    _, text = create_key(restaurant=restaurant, name="till", scopes=["orders:write"])
    api = Caller(text)
    nowhere = api.post("orders", bowls("WEB-1"))
    assert nowhere.status_code == 422
    assert "location" in nowhere.json()["detail"]
    assert not Order.objects.exists()
    assert not InboundCall.objects.exists()
    there = api.post("orders", {**bowls("WEB-1"), "location": {"id": "B"}})
    assert there.status_code == 201
    assert there.json()["location"]["ids"] == ["B"]


def test_a_patch_leaves_what_it_does_not_name(api: Caller) -> None:
    made = api.post("orders", bowls("WEB-1")).json()
    items = [{"id": "i1", "label": "Harvest Bowl"}, {"id": "i3", "label": "Matcha"}]
    soon_text = soon(40)
    promised = datetime.fromisoformat(soon_text).astimezone(ZoneInfo("Asia/Tokyo"))
    changed = api.patch(
        f"orders/{made['id']}",
        {"items": items, "times": {"promised_at": promised.isoformat()}},
    )
    body = changed.json()
    assert changed.status_code == 200
    assert [item["label"] for item in body["items"]] == ["Harvest Bowl", "Matcha"]
    assert body["times"]["promised_at"] == soon_text
    for name in ("id", "state", "parts", "display", "fulfillment", "external_ids", "created_at"):
        assert body[name] == made[name]
    edit = OrderEvent.objects.get(kind="order_edited")
    assert edit.data["added"]
    assert edit.data["removed"]
    cleared = api.patch(f"orders/{made['id']}", {"times": {"promised_at": None}}).json()
    assert cleared["times"]["promised_at"] is None
    assert [item["label"] for item in cleared["items"]] == ["Harvest Bowl", "Matcha"]


def test_a_customer_can_come_later(api: Caller) -> None:
    made = api.post("orders", bowls("WEB-1")).json()
    assert made["customer"]["is_known"] is False
    body = api.patch(f"orders/{made['id']}", {"customer": {"phone": "+12125550143"}}).json()
    assert body["customer"] == {"is_known": True, "contact_kind": "direct"}


def test_a_status_moves_the_order_once(api: Caller) -> None:
    plain = {"order": {"id": "WEB-1"}, "state": "received", "fulfillment": {"type": "pickup"}}
    made = api.post("orders", plain).json()
    path = f"orders/{made['id']}/status"
    assert api.post(path, {"state": "preparing"}).json()["state"] == "preparing"
    assert api.post(path, {"state": "ready"}).json()["state"] == "ready"
    assert api.post(path, {"state": "ready"}).json()["state"] == "ready"
    body = api.post(path, {"state": "picked_up"}).json()
    assert (body["state"], body["is_open"]) == ("picked_up", False)
    assert milestones("status_changed") == ["received", "preparing", "ready", "picked_up"]


def test_a_part_moves_alone_and_the_order_follows_its_parts(api: Caller) -> None:
    made = api.post("orders", bowls("WEB-1", state="preparing")).json()
    path = f"orders/{made['id']}/status"
    one = api.post(path, {"state": "ready", "part": "bowl-1"}).json()
    assert [part["state"] for part in one["parts"]] == ["ready", "preparing"]
    assert one["state"] == "preparing"
    assert milestones("part_status_changed") == ["part_ready"]
    both = api.post(path, {"state": "ready", "part": "bowl-2"}).json()
    assert both["state"] == "ready"


def test_a_part_nobody_named_is_refused_by_name(api: Caller) -> None:
    made = api.post("orders", bowls("WEB-1")).json()
    for call, body in (
        ("status", {"state": "ready", "part": "bowl-9"}),
        ("eta", {"part": "bowl-9", "est_ready_at": soon(9)}),
    ):
        answer = api.post(f"orders/{made['id']}/{call}", body)
        assert answer.status_code == 422
        error = answer.json()["errors"][0]
        assert error["pointer"] == "#/part"
        assert "bowl-1, bowl-2" in error["detail"]
    assert InboundCall.objects.count() == 1


def test_a_status_keeps_its_reason_and_its_time(api: Caller) -> None:
    made = api.post("orders", bowls("WEB-1")).json()
    then = (timezone.now() - timedelta(minutes=3)).replace(microsecond=0)
    body = api.post(
        f"orders/{made['id']}/status",
        {
            "state": "cancelled",
            "reason": {"code": "item_unavailable", "text": "no salmon"},
            "occurred_at": then.isoformat(),
        },
    ).json()
    assert body["state"] == "cancelled"
    assert body["reason"] == {"code": "item_unavailable", "text": "no salmon"}
    assert OrderEvent.objects.get(milestone="cancelled").occurred_at == then


def test_a_time_in_the_future_counts_as_now(api: Caller) -> None:
    made = api.post("orders", bowls("WEB-1")).json()
    ahead = timezone.now() + timedelta(hours=20)
    api.post(
        f"orders/{made['id']}/status",
        {"state": "cancelled", "occurred_at": ahead.isoformat()},
    )
    assert OrderEvent.objects.get(milestone="cancelled").occurred_at < ahead


def test_a_clock_that_lags_does_not_undo_a_later_call(api: Caller) -> None:
    made = api.post("orders", {"order": {"id": "WEB-1"}, "state": "preparing"}).json()
    lagging = (timezone.now() - timedelta(minutes=1)).isoformat()
    body = api.post(
        f"orders/{made['id']}/status", {"state": "ready", "occurred_at": lagging}
    ).json()
    assert body["state"] == "ready"


def test_a_split_makes_parts_and_tells_it(api: Caller) -> None:
    plain = {"order": {"id": "WEB-1"}, "state": "preparing", "fulfillment": {"type": "pickup"}}
    made = api.post("orders", plain).json()
    assert [part["id"] for part in made["parts"]] == ["order"]
    split = api.post(
        f"orders/{made['id']}/split",
        {
            "parts": [
                {"id": "hot", "label": "Hot bowls", "state": "preparing"},
                {"id": "cold", "label": "Cold bowls", "quantity": 2, "state": "preparing"},
            ]
        },
    )
    body = split.json()
    assert split.status_code == 200
    assert [(p["id"], p["quantity"], p["state"]) for p in body["parts"]] == [
        ("hot", 1, "preparing"),
        ("cold", 2, "preparing"),
    ]
    assert body["state"] == "preparing"
    assert OrderEvent.objects.filter(kind="order_split").count() == 1
    again = api.post(
        f"orders/{made['id']}/split",
        {"parts": [{"id": "hot"}, {"id": "dessert", "state": "preparing"}]},
    ).json()
    assert [part["id"] for part in again["parts"]] == ["hot", "dessert"]


def test_parts_without_a_state_begin_where_the_order_is(api: Caller) -> None:
    plain = {"order": {"id": "WEB-1"}, "state": "preparing", "fulfillment": {"type": "pickup"}}
    made = api.post("orders", plain).json()
    body = api.post(f"orders/{made['id']}/split", {"parts": [{"id": "hot"}, {"id": "cold"}]}).json()
    assert [part["state"] for part in body["parts"]] == ["preparing", "preparing"]
    assert body["state"] == "preparing"


def test_estimates_of_an_order_and_of_a_part(api: Caller) -> None:
    made = api.post("orders", bowls("WEB-1", state="preparing")).json()
    path = f"orders/{made['id']}/eta"
    whole, one = soon(20), soon(30)
    body = api.post(path, {"est_ready_at": whole}).json()
    assert body["times"]["est_ready_at"] == whole
    body = api.post(path, {"part": "bowl-2", "est_ready_at": one}).json()
    assert [part["est_ready_at"] for part in body["parts"]] == [None, one]
    assert body["times"]["est_ready_at"] == whole
    body = api.post(path, {"est_ready_at": None, "est_delivery_at": None}).json()
    assert body["times"]["est_delivery_at"] is None
    assert body["times"]["est_ready_at"] == one


def test_what_cannot_be_used_is_said_and_the_rest_counts(api: Caller) -> None:
    body = bowls("WEB-1") | {"customer": {"phone": "+19995550143", "name": "Maya Alvarez"}}
    answer = api.post("orders", body)
    told = answer.json()
    assert answer.status_code == 201
    assert told["warnings"]
    assert "5550143" not in str(told["warnings"])
    assert [item["label"] for item in told["items"]] == ["Harvest Bowl", "Miso Soup"]


def test_one_part_divided_in_two_is_a_split_and_no_edit(api: Caller) -> None:
    made = api.post("orders", bowls("WEB-1", state="preparing")).json()
    parts = [
        {"id": "bowl-1"},
        {"id": "soup-1", "label": "Miso Soup", "state": "preparing"},
        {"id": "soup-2", "label": "Miso Soup", "state": "preparing"},
    ]
    body = api.post(f"orders/{made['id']}/split", {"parts": parts}).json()
    assert [(part["id"], part["replaces"]) for part in body["parts"]] == [
        ("bowl-1", ""),
        ("soup-1", "bowl-2"),
        ("soup-2", "bowl-2"),
    ]
    assert [event.kind for event in OrderEvent.objects.exclude(kind="status_changed")] == [
        "order_split"
    ]


@pytest.mark.parametrize(
    ("method", "call", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"flags": {"delayed": True}}),
        ("POST", "/status", {"state": "ready"}),
        ("POST", "/split", {"parts": [{"id": "a"}, {"id": "b"}]}),
        ("POST", "/eta", {"est_ready_at": soon(9)}),
    ],
)
def test_orders_of_other_restaurants_do_not_exist(
    api: Caller, stranger: Caller, method: str, call: str, body: object
) -> None:
    made = api.post("orders", bowls("WEB-1")).json()
    before = Observation.objects.count()
    theirs = stranger.call(method, f"orders/{made['id']}{call}", body)
    nobodys = stranger.call(method, f"orders/{uuid.uuid4()}{call}", body)
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json()["type"] == nobodys.json()["type"]
    assert theirs.json()["detail"] == nobodys.json()["detail"]
    assert Observation.objects.count() == before
    assert api.get(f"orders/{made['id']}").json() == made
    assert stranger.get("orders").json()["data"] == []
    assert stranger.get("orders?external_id=WEB-1").json()["data"] == []


def test_two_restaurants_may_use_one_id(api: Caller, stranger: Caller) -> None:
    mine = api.post("orders", bowls("WEB-1"))
    theirs = stranger.post("orders", bowls("WEB-1"))
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


def test_an_order_of_another_source_can_be_changed(
    api: Caller, restaurant: Restaurant, location: Location
) -> None:
    till = make_source_account(restaurant, source="square", location=location)
    order = make_order(account=till, display="77")
    path = f"orders/{order.public_id}"
    for _ in range(2):
        body = api.post(f"{path}/status", {"state": "ready"}).json()
    assert body["id"] == str(order.public_id)
    assert body["state"] == "ready"
    assert {alias["system"] for alias in body["external_ids"]} == {"square", "rest"}
    assert Order.objects.count() == 1


def test_an_id_that_means_another_order_is_refused(
    api: Caller, restaurant: Restaurant, location: Location
) -> None:
    till = make_source_account(restaurant, source="square", location=location)
    order = make_order(account=till)
    confused = api.post("orders", bowls(str(order.public_id)))
    assert confused.status_code == 201
    answer = api.post(f"orders/{order.public_id}/status", {"state": "ready"})
    assert answer.status_code == 422
    order.refresh_from_db()
    assert order.state == "received"


def test_keys_of_a_restaurant_see_the_same_orders(api: Caller, restaurant: Restaurant) -> None:
    made = api.post("orders", bowls("WEB-1")).json()
    _, text = create_key(restaurant=restaurant, name="screen", scopes=["orders:read"])
    assert Caller(text).get(f"orders/{made['id']}").json() == made
    other = make_restaurant()
    _, text = create_key(restaurant=other, name="screen", scopes=["orders:read"])
    assert Caller(text).get(f"orders/{made['id']}").status_code == 404
