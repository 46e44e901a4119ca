"""What changed in an order, readable: "+1 miso soup, -1 poke bowl". Pure.

Lines are compared by id first, then by label and modifiers, because many sources give a line a
new id whenever they save it. The words are signs and the source's own labels, in no language.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from integrations.contracts import State
from orders.details import quantity
from orders.projection import IMPLICIT_PART, ItemView, PartView, Projection
from orders.states import REMOVED, is_live

#: what a part that was just ordered looks like
_ENTERING = frozenset({State.RECEIVED, State.ACCEPTED})

_Line = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of what was ordered. Each entry is JSON-ready."""

    added: tuple[Mapping[str, Any], ...] = ()
    removed: tuple[Mapping[str, Any], ...] = ()
    changed: tuple[Mapping[str, Any], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def sentence(self) -> str:
        """The whole edit on one line, additions first."""
        told = [f"+{e['quantity']} {_name(e)}" for e in self.added]
        told += [f"-{e['quantity']} {_name(e)}" for e in self.removed]
        told += [f"{e['label']}: {_modifier_words(e)}" for e in self.changed]
        return ", ".join(told)

    def data(self) -> dict[str, Any]:
        """The fields of an order_edited event."""
        return {
            "added": [dict(e) for e in self.added],
            "removed": [dict(e) for e in self.removed],
            "changed": [dict(e) for e in self.changed],
            "sentence": self.sentence,
        }


def plain(number: Decimal) -> str:
    """A quantity without trailing zeros: 1, 0.5, 12."""
    return f"{number.normalize():f}"


def compare_items(old: Sequence[ItemView], new: Sequence[ItemView]) -> Edit:
    """The signed difference of two item lists."""
    before = {line.ref: line for line in old}
    after = {line.ref: line for line in new}
    amounts: dict[_Line, Decimal] = {}
    changed: list[Mapping[str, Any]] = []

    def book(line: ItemView | None, sign: int) -> None:
        if line is not None:
            key = (line.label, line.modifiers)
            amounts[key] = amounts.get(key, Decimal(0)) + sign * line.quantity

    for ref in dict.fromkeys([*before, *after]):
        was, now = before.get(ref), after.get(ref)
        if was and now and was.label == now.label and was.modifiers != now.modifiers:
            if Counter(was.modifiers) != Counter(now.modifiers):
                changed.append(_modified(was, now))
            was = ItemView(ref, now.label, was.quantity, now.modifiers)
        book(now, 1)
        book(was, -1)
    return Edit(
        tuple(_entry(*key, amount) for key, amount in amounts.items() if amount > 0),
        tuple(_entry(*key, -amount) for key, amount in amounts.items() if amount < 0),
        tuple(changed),
    )


def compare_parts(old: Projection, new: Projection) -> Edit:
    """The edit told by parts: what was added, called off or replaced while the order goes on.

    A part that takes another's place is one edit, whichever of the two news comes first.
    """
    before = {p.ref: p for p in old.named_parts}
    now = {p.ref: p for p in new.named_parts}
    if not before:
        return Edit()
    replaced = {p.replaces for p in now.values() if p.replaces}
    added, removed, changed = [], [], []
    for part in now.values():
        was = before.get(part.ref)
        if was is None and part.is_live:
            gone = now.get(part.replaces) or before.get(part.replaces)
            if gone is not None and _line(gone) == _line(part):
                changed.append({"label": _label(part), "modifiers": [], "replaced": True})
                continue
            if gone is None and not (old.lists_parts or part.state in _ENTERING):
                continue  # a source that names its parts one by one as they progress
            added.append(_entry(*_line(part), part.quantity))
            told = before.get(part.replaces)
            if gone is not None and told is not None and told.is_live:
                removed.append(_entry(*_line(gone), gone.quantity))
        elif was is not None and was.is_live and not part.is_live and part.ref not in replaced:
            removed.append(_entry(*_line(part), part.quantity))
    return Edit(tuple(added), tuple(removed), tuple(changed))


def edit_between(old: Projection, new: Projection) -> Edit:
    """What the customer should read about ``new`` that was not in ``old``.

    Item lists tell where both have one; parts tell what the lists did not. A first description is
    no edit, nor is a part that a known item list had already promised. Money back is a refund.
    """
    edit = _edit_between(old, new)
    return replace(edit, removed=_not_refunded(edit.removed, refunds_between(old, new)))


def _edit_between(old: Projection, new: Projection) -> Edit:
    listed = bool(old.items and new.items)
    comparable = listed and new.same_origin("items", old)
    items = compare_items(old.items, new.items) if comparable else Edit()
    if items or is_split(old, new) or not new.same_origin("parts", old):
        return items
    parts = compare_parts(old, new)
    if listed:
        replacing = bool(parts.changed) or bool(parts.added and parts.removed)
        return parts if replacing else Edit(removed=parts.removed)
    return parts


def refunds_between(old: Projection, new: Projection) -> tuple[Mapping[str, Any], ...]:
    """The lines paid back since ``old``, each JSON-ready."""
    if not new.same_origin("refunds", old):
        return ()
    return compare_items(old.refunds, new.refunds).added


def refund_data(refunded: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields of an order_edited event that is a refund: "1 poke bowl, 2 tea"."""
    lines = [dict(entry) for entry in refunded]
    told = ", ".join(f"{entry['quantity']} {_name(entry)}" for entry in lines)
    return {"refunded": lines, "sentence": told}


def _not_refunded(
    removed: Iterable[Mapping[str, Any]], refunded: Iterable[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], ...]:
    """What left the order without being paid back."""
    paid: dict[str, Decimal] = {}
    for entry in refunded:
        paid[entry["label"]] = paid.get(entry["label"], Decimal(0)) + Decimal(entry["quantity"])
    left: list[Mapping[str, Any]] = []
    for entry in removed:
        amount = Decimal(entry["quantity"])
        covered = min(amount, paid.get(entry["label"], Decimal(0)))
        if covered:
            paid[entry["label"]] -= covered
        if amount > covered:
            left.append({**entry, "quantity": plain(amount - covered)})
    return tuple(left)


def is_split(old: Projection, new: Projection) -> bool:
    """Whether the same things were only divided differently: split, merged or moved parts."""
    was, now = old.named_parts, new.named_parts
    if not new.same_origin("parts", old):
        return False
    if not was:
        names_order = any(p.replaces == IMPLICIT_PART for p in now)
        fulfilments = [p for p in now if p.kind == "fulfillment" and p.is_live]
        return len(now) > 1 and (names_order or len(fulfilments) > 1)
    before, after = _live_refs(was), _live_refs(now)
    if before == after or not before or not after:
        return False
    is_new = {p.ref for p in now} - {p.ref for p in was}
    if not (is_new or _merged_away(was, now) or _listed_again(was, now)):
        return False
    successors = Counter(p.replaces for p in now if p.ref not in before and p.is_live)
    if any(count > 1 for ref, count in successors.items() if ref):
        return True
    if {p.kind for p in [*was, *now] if p.is_live} == {"fulfillment"}:
        return not (len(before) == len(after) and any(successors))
    return _amounts(was) == _amounts(now) and not any(successors)


def _merged_away(was: Iterable[PartView], now: Iterable[PartView]) -> bool:
    """A fulfilment that disappeared without being called off went into another one."""
    states = {p.ref: p.state for p in now}
    gone = [p for p in was if p.is_live and not is_live(states.get(p.ref, "removed"))]
    return any(p.kind == "fulfillment" and states.get(p.ref) != "cancelled" for p in gone)


def held(part: PartView) -> dict[str, Decimal]:
    """How many of which item a fulfilment holds."""
    amounts: dict[str, Decimal] = {}
    for line in part.contents:
        item = str(line.get("item_id"))
        amounts[item] = amounts.get(item, Decimal(0)) + quantity(line.get("quantity", 1))
    return amounts


def moved_between(old: Projection, new: Projection) -> str:
    """What went from one part into another: "Miso soup: Box 1 > Box 2"; "" = nothing did."""
    before = {p.ref: p for p in old.named_parts if p.is_live and p.kind == "fulfillment"}
    after = {p.ref: p for p in new.named_parts if p.is_live and p.kind == "fulfillment"}
    if before.keys() != after.keys() or not new.same_origin("parts", old):
        return ""
    labels = {line.ref: line.label for line in new.items}
    told = []
    for item in dict.fromkeys(i for part in before.values() for i in held(part)):
        less: list[tuple[PartView, Decimal]] = []
        more: list[tuple[PartView, Decimal]] = []
        for ref, part in after.items():
            change = held(part).get(item, Decimal(0)) - held(before[ref]).get(item, Decimal(0))
            if change:
                (more if change > 0 else less).append((part, abs(change)))
        if less and more:
            amount = min(sum(n for _, n in less), sum(n for _, n in more))
            words = "" if amount == 1 else f"{plain(Decimal(amount))} "
            words += labels.get(item) or item
            told.append(f"{words}: {_labels(less)} > {_labels(more)}")
    return ", ".join(told)


def _labels(parts: Iterable[tuple[PartView, Decimal]]) -> str:
    return " + ".join(_label(part) for part, _ in parts)


def _listed_again(was: Iterable[PartView], now: Iterable[PartView]) -> bool:
    """A fulfilment that had gone into another one is a part of its own again."""
    gone = {p.ref for p in was if p.state == REMOVED}
    return any(p.kind == "fulfillment" and p.is_live and p.ref in gone for p in now)


def split_sentence(new: Projection) -> str:
    """The live parts by name: "bowl, soup and drink" without the grammar."""
    return " + ".join(_label(p) for p in new.counted_parts)


def _live_refs(parts: Iterable[PartView]) -> frozenset[str]:
    return frozenset(p.ref for p in parts if p.is_live)


def _amounts(parts: Iterable[PartView]) -> dict[_Line, Decimal]:
    amounts: dict[_Line, Decimal] = {}
    for part in parts:
        if part.is_live:
            key = _line(part)
            amounts[key] = amounts.get(key, Decimal(0)) + part.quantity
    return amounts


def _label(part: PartView) -> str:
    return part.label or part.ref


def _line(part: PartView) -> _Line:
    return _label(part), part.modifiers


def _entry(label: str, modifiers: tuple[str, ...], amount: Decimal) -> dict[str, Any]:
    return {"quantity": plain(amount), "label": label, "modifiers": list(modifiers)}


def _modified(was: ItemView, now: ItemView) -> dict[str, Any]:
    had, has = Counter(was.modifiers), Counter(now.modifiers)
    return {
        "label": now.label,
        "modifiers": list(now.modifiers),
        "added": list((has - had).elements()),
        "removed": list((had - has).elements()),
    }


def _name(entry: Mapping[str, Any]) -> str:
    modifiers = entry["modifiers"]
    return f"{entry['label']} ({', '.join(modifiers)})" if modifiers else str(entry["label"])


def _modifier_words(entry: Mapping[str, Any]) -> str:
    if entry.get("replaced"):
        return "replaced"
    words = [f"+{m}" for m in entry.get("added", ())]
    words += [f"-{m}" for m in entry.get("removed", ())]
    return " ".join(words)
