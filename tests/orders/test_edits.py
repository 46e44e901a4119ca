"""Readable differences: item lists, parts, replacements and splits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from orders.edits import compare_items
from orders.projection import ItemView
from tests.orders.said import live, say, told


def item(ref: str, label: str, quantity: str = "1", *modifiers: str) -> ItemView:
    return ItemView(ref, label, Decimal(quantity), modifiers)


def sentence(old: list[ItemView], new: list[ItemView]) -> str:
    return compare_items(old, new).sentence


BOWL, SOUP = item("1", "poke bowl"), item("2", "miso soup")


def test_signed_difference() -> None:
    edit = compare_items([BOWL], [SOUP])
    assert edit.sentence == "+1 miso soup, -1 poke bowl"
    assert edit.data() == {
        "added": [{"quantity": "1", "label": "miso soup", "modifiers": []}],
        "removed": [{"quantity": "1", "label": "poke bowl", "modifiers": []}],
        "changed": [],
        "sentence": "+1 miso soup, -1 poke bowl",
    }


def test_nothing_changed() -> None:
    assert not compare_items([BOWL, SOUP], [SOUP, BOWL])


def test_quantities() -> None:
    assert sentence([item("1", "tea", "3")], [item("1", "tea", "1")]) == "-2 tea"
    assert sentence([item("1", "rice", "0.5")], [item("1", "rice", "10")]) == "+9.5 rice"


def test_new_ids_for_the_same_line_are_no_edit() -> None:
    assert not compare_items([BOWL, SOUP], [item("8", "poke bowl"), item("9", "miso soup")])


def test_lines_split_or_joined_by_the_till_are_no_edit() -> None:
    assert not compare_items([item("1", "tea", "2")], [item("1", "tea"), item("2", "tea")])


def test_changed_modifiers_of_one_line() -> None:
    old, new = item("1", "poke bowl", "1", "no onions"), item("1", "poke bowl", "1", "extra ginger")
    assert sentence([old], [new]) == "poke bowl: +extra ginger -no onions"
    assert not compare_items([item("1", "bowl", "1", "a", "b")], [item("1", "bowl", "1", "b", "a")])


def test_an_added_line_names_its_modifiers() -> None:
    assert sentence([BOWL], [BOWL, item("3", "tea", "1", "iced")]) == "+1 tea (iced)"


def test_the_same_id_with_another_label_is_another_thing() -> None:
    assert sentence([BOWL], [item("1", "tofu bowl")]) == "+1 tofu bowl, -1 poke bowl"


# ---------------------------------------------------------------------------- as events


def listed(key: str, seq: int, *labels: str, **more: Any):  # type: ignore[no-untyped-def]
    lines = [{"id": f"{label}-id", "label": label} for label in labels]
    return say(key, "preparing", seq=seq, data={"items": lines}, **more)


def part(key: str, state: str, seq: int, ref: str, label: str, **data: Any):  # type: ignore[no-untyped-def]
    return say(key, state, seq=seq, part=ref, data={"label": label, **data})


def sentences(story) -> list[str]:  # type: ignore[no-untyped-def]
    return [d.data["sentence"] for d in story if d.kind == "order_edited"]


def test_the_first_list_is_no_edit_and_each_later_one_is_counted() -> None:
    said = [
        say("o", "received", seq=0),
        listed("a", 1, "poke bowl"),
        listed("b", 2, "poke bowl", "miso soup"),
        listed("c", 3, "poke bowl"),
        listed("d", 4, "poke bowl", "miso soup"),
    ]
    _, story = live(said)
    assert sentences(story) == ["+1 miso soup", "-1 miso soup", "+1 miso soup"]
    assert [m for m in told(story) if m.startswith("edited")] == [
        "edited:1",
        "edited:2",
        "edited:3",
    ]


def test_another_sources_words_for_the_same_food_are_no_edit() -> None:
    said = [
        listed("a", 1, "BOWL POKE 32OZ"),
        listed("b", 1, "Poke bowl", account="shop", track="commercial", minute=2),
    ]
    order, story = live(said, priorities={"shop": {"commercial": 30}})
    assert order.items[0].label == "Poke bowl"
    assert sentences(story) == []


def test_a_replaced_part_is_one_edit_whichever_news_comes_first() -> None:
    base = [
        part("a", "preparing", 1, "p1", "poke bowl"),
        part("b", "preparing", 1, "p2", "miso soup"),
    ]
    gone = part("c", "cancelled", 5, "p1", "poke bowl")
    instead = part("d", "preparing", 5, "p3", "tofu bowl", replaces="p1")
    _, story = live([*base, instead, gone])
    assert sentences(story) == ["+1 tofu bowl, -1 poke bowl"]
    _, story = live([*base, gone, instead])
    assert sentences(story) == ["-1 poke bowl", "+1 tofu bowl"]


def test_a_remade_part_is_called_replaced() -> None:
    base = [
        part("a", "preparing", 1, "p1", "poke bowl"),
        part("d", "preparing", 5, "p2", "poke bowl", replaces="p1"),
    ]
    assert sentences(live(base)[1]) == ["poke bowl: replaced"]


def test_a_part_the_item_list_had_already_named_is_no_edit() -> None:
    said = [
        listed("o", 1, "poke bowl", "miso soup"),
        part("a", "preparing", 2, "p1", "poke bowl"),
        part("b", "preparing", 3, "p2", "miso soup"),
    ]
    assert sentences(live(said)[1]) == []


def test_a_part_added_to_a_known_list_is_an_edit_and_one_merely_named_late_is_not() -> None:
    first = part("a", "preparing", 1, "p1", "poke bowl")
    second = part("b", "preparing", 5, "p2", "miso soup")
    assert sentences(live([first, second])[1]) == []
    known = say("s", seq=2, listed=["p1"])
    assert sentences(live([first, known, second])[1]) == ["+1 miso soup"]
    ordered = part("c", "accepted", 6, "p3", "iced tea")
    assert sentences(live([first, ordered])[1]) == ["+1 iced tea"]


def test_an_order_that_ends_is_not_edited() -> None:
    said = [part("a", "preparing", 1, "p1", "poke bowl"), say("x", "cancelled", seq=2)]
    assert told(live(said)[1]) == ["preparing", "cancelled"]


# ---------------------------------------------------------------------------- splits


def box(key: str, seq: int, ref: str, **data: Any):  # type: ignore[no-untyped-def]
    return part(key, "preparing", seq, ref, f"box {ref}", kind="fulfillment", **data)


def splits(story) -> list[dict[str, Any]]:  # type: ignore[no-untyped-def]
    return [d.data for d in story if d.kind == "order_split"]


def test_fulfilments_split_and_merged() -> None:
    said = [box("a", 1, "f1"), box("b", 2, "f2"), say("s", seq=3, listed=["f2"])]
    order, story = live(said)
    assert [s["total"] for s in splits(story)] == [2, 1]
    assert splits(story)[0]["sentence"] == "box f1 + box f2"
    assert sentences(story) == []
    assert [p.ref for p in order.counted_parts] == ["f2"]


def test_a_split_asked_for_by_hand_replaces_the_whole_order() -> None:
    said = [
        listed("o", 1, "poke bowl", "miso soup"),
        part("a", "preparing", 2, "p1", "poke bowl", replaces="order"),
        part("b", "preparing", 2, "p2", "miso soup", replaces="order"),
    ]
    _, story = live(said)
    assert [s["total"] for s in splits(story)] == []
    from orders.lifecycle import diff_events
    from orders.projection import project

    old, new = project(said[:1]), project(said)
    drafts = diff_events(
        old, new, recorded={("", "preparing", 0)}, trigger=said[1],
        now=said[1].received_at, own_drivers=False,
    )  # fmt: skip
    assert [(d.kind, d.data["sentence"]) for d in drafts] == [
        ("order_split", "poke bowl + miso soup")
    ]


def test_one_part_divided_into_several() -> None:
    from orders.lifecycle import diff_events
    from orders.projection import project

    said = [
        part("a", "preparing", 1, "p0", "poke bowl", quantity=2),
        part("b", "preparing", 2, "p1", "poke bowl", replaces="p0"),
        part("c", "preparing", 2, "p2", "poke bowl", replaces="p0"),
        part("d", "cancelled", 2, "p0", "poke bowl", quantity=2),
    ]
    drafts = diff_events(
        project(said[:1]), project(said), recorded={("", "preparing", 0)}, trigger=said[1],
        now=said[1].received_at, own_drivers=False,
    )  # fmt: skip
    assert [d.kind for d in drafts] == ["order_split"]


def test_a_second_courier_is_a_split_and_a_replacement_is_not() -> None:
    def run(key: str, state: str | None, leg: str, minute: float):  # type: ignore[no-untyped-def]
        return say(key, state, leg=leg, account="drive", minute=minute)

    start = [say("o", "ready", seq=1), run("x", None, "leg-1", 2)]
    _, story = live([*start, run("y", None, "leg-2", 3)], fulfillment="delivery")
    assert [s["couriers"] for s in splits(story)] == [2]
    _, story = live([*start, run("z", "failed", "leg-1", 3), run("y", None, "leg-2", 4)])
    assert splits(story) == []


# ---------------------------------------------------------------------------- refunds


def paid_back(key: str, seq: int, state: str, left: list[str], back: dict[str, int]):  # type: ignore[no-untyped-def]
    lines = [{"id": label, "label": label} for label in left]
    refunds = [{"id": f"r-{label}", "label": label, "quantity": n} for label, n in back.items()]
    return say(key, state, seq=seq, data={"items": lines, "refunds": refunds})


def refunds(story) -> list[str]:  # type: ignore[no-untyped-def]
    return [d.data["sentence"] for d in story if d.milestone.startswith("refunded:")]


def test_money_back_is_told_as_such_and_not_as_an_edit() -> None:
    said = [
        paid_back("a", 1, "preparing", ["poke bowl", "miso soup", "tea"], {}),
        paid_back("b", 2, "preparing", ["miso soup"], {"poke bowl": 1}),
    ]
    order, story = live(said)
    assert refunds(story) == ["1 poke bowl"]
    assert sentences(story) == ["1 poke bowl", "-1 tea"]
    assert [(line.label, line.quantity) for line in order.refunds] == [("poke bowl", 1)]


def test_each_refund_is_told_once_also_after_the_hand_over() -> None:
    said = [
        paid_back("a", 1, "preparing", ["tea"], {}),
        paid_back("b", 2, "picked_up", ["tea"], {"tea": 1}),
        paid_back("c", 3, "picked_up", ["tea"], {"tea": 1}),
        paid_back("d", 4, "picked_up", ["tea"], {"tea": 3}),
    ]
    _, story = live(said)
    assert refunds(story) == ["1 tea", "2 tea"]
    assert [d.milestone for d in story if d.kind == "order_edited"] == ["refunded:1", "refunded:2"]


def test_an_order_called_off_is_paid_back_without_a_word_about_its_lines() -> None:
    said = [
        paid_back("a", 1, "preparing", ["tea"], {}),
        paid_back("b", 2, "cancelled", [], {"tea": 1}),
    ]
    assert told(live(said)[1]) == ["preparing", "cancelled"]


def test_a_part_that_was_paid_back_is_no_edit_either() -> None:
    said = [
        part("a", "preparing", 1, "p1", "poke bowl"),
        part("b", "preparing", 1, "p2", "tea"),
        say("r", seq=3, data={"refunds": [{"id": "p2", "label": "tea"}]}),
        part("c", "cancelled", 3, "p2", "tea"),
    ]
    from orders.lifecycle import diff_events
    from orders.projection import project

    drafts = diff_events(
        project(said[:2]), project(said), recorded={("", "preparing", 0)}, trigger=said[2],
        now=said[2].received_at, own_drivers=False,
    )  # fmt: skip
    assert [(d.milestone, d.data["sentence"]) for d in drafts] == [("refunded:1", "1 tea")]


def test_what_another_source_says_was_paid_back_is_no_second_refund() -> None:
    said = [
        paid_back("a", 1, "preparing", ["tea"], {"tea": 1}),
        say("b", "preparing", account="shop", track="commercial", seq=1, minute=2,
            data={"refunds": [{"id": "9", "label": "ICED TEA"}]}),
    ]  # fmt: skip
    assert refunds(live(said, priorities={"shop": {"commercial": 30}})[1]) == []
