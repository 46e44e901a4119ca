"""The shape of the public order update, checked member by member; errors name the path.

The JSON Schema of the same shape is what integrations read; these checks are what runs. They
are a little stricter: times must exist, ids must not repeat, text must be storable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NoReturn

from integrations import payloads
from integrations.contracts import State
from integrations.errors import PayloadMalformed

Check = Callable[[Any, str], None]

STATES = frozenset(state.value for state in State)
LEG_STATES = frozenset({"out_for_delivery", "delivered", "cancelled", "failed"})
FULFILLMENTS = frozenset({"pickup", "delivery", "dine_in", "curbside", "drive_through", "shipping"})
CONTACT_KINDS = frozenset({"direct", "masked", "relay", "none"})
#: what a state nobody knows may look like before we store it
_FOREIGN_STATE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ .:/-]{0,79}")


def _fail(path: str, wanted: str) -> NoReturn:
    raise PayloadMalformed(f"{path}: {wanted}")


def _text(longest: int, *, shortest: int = 0, pattern: str = "", shape: str = "") -> Check:
    compiled = re.compile(pattern) if pattern else None

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str):
            _fail(path, f"expected text, got {payloads.kind_of(value)}")
        if len(value) > longest:
            _fail(path, f"longer than {longest} characters")
        if not payloads.is_storable(value):
            _fail(path, "holds a NUL or half a character")
        if len(value) < shortest:
            _fail(path, "empty")
        if compiled is not None and not compiled.fullmatch(value):
            _fail(path, f"expected {shape}")

    return check


def _one_of(allowed: frozenset[str]) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, str) or value not in allowed:
            _fail(path, f"expected one of {', '.join(sorted(allowed))}")

    return check


def _boolean(value: Any, path: str) -> None:
    if not isinstance(value, bool):
        _fail(path, f"expected true or false, got {payloads.kind_of(value)}")


def _quantity(value: Any, path: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _fail(path, f"expected a number, got {payloads.kind_of(value)}")
    if not 0 < value < 1_000_000:
        _fail(path, "expected a number above 0 and below 1000000")


def _time(value: Any, path: str) -> None:
    if not isinstance(value, str) or not re.search(r"(Z|[+-][0-9]{2}:[0-9]{2})\Z", value):
        _fail(path, "expected a time with offset such as 2026-03-14T18:05:00Z")
    payloads.time(value, path)


def _time_or_null(value: Any, path: str) -> None:
    if value is not None:
        _time(value, path)


def _foreign_state(value: Any, path: str) -> None:
    if not isinstance(value, str) or not _FOREIGN_STATE.fullmatch(value):
        _fail(path, f"expected one of {', '.join(sorted(STATES))}")


def _list(entry: Check, longest: int) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            _fail(path, f"expected a list, got {payloads.kind_of(value)}")
        if len(value) > longest:
            _fail(path, f"more than {longest} entries")
        for index, member in enumerate(value):
            entry(member, f"{path}[{index}]")

    return check


def _object(members: Mapping[str, Check], *required: str) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            _fail(path, f"expected an object, got {payloads.kind_of(value)}")
        for name in required:
            if name not in value:
                _fail(f"{path}.{name}", "missing")
        for name, member in value.items():
            if name not in members:
                _fail(f"{path}.{name[:40]}", "unknown member")
            members[name](member, f"{path}.{name}")

    return check


_ID = _text(200, shortest=1)
_LABEL = _text(200)
_COURIER = _object(
    {
        "name": _text(100),
        "phone_kind": _one_of(CONTACT_KINDS),
        "tracking_url": _text(2000, pattern=r"https://\S*", shape="an https address"),
    }
)
_ORDER = _object(
    {
        "id": _ID,
        "display": _text(40),
        "aliases": _list(
            _object(
                {
                    "system": _text(
                        40, pattern=r"[a-z0-9_]{1,40}", shape="lower case, digits and _ only"
                    ),
                    "id": _ID,
                },
                "system",
                "id",
            ),
            20,
        ),
    },
    "id",
)
_CONTENTS = _list(_object({"item_id": _text(200), "quantity": _quantity}, "item_id"), 200)
_ITEM = _object(
    {"id": _ID, "label": _LABEL, "quantity": _quantity, "modifiers": _list(_LABEL, 100)},
    "id",
    "label",
)
_CUSTOMER = _object(
    {
        "name": _LABEL,
        "phone": _text(16, pattern=r"\+[1-9][0-9]{6,14}", shape="a phone number as +12025550143"),
        "email": _text(254),
        "contact_kind": _one_of(CONTACT_KINDS),
        "locale": _text(
            35,
            pattern=r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*",
            shape="a language tag such as en-US",
        ),
        "external_id": _LABEL,
    }
)
_TIMES = _object(
    dict.fromkeys(
        ("promised_at", "promised_until", "est_ready_at", "est_delivery_at", "placed_at"),
        _time_or_null,
    )
)


def _part(state: Check) -> Check:
    return _object(
        {
            "id": _ID,
            "kind": _one_of(frozenset({"item", "fulfillment"})),
            "label": _LABEL,
            "quantity": _quantity,
            "state": state,
            "modifiers": _list(_LABEL, 100),
            "contents": _CONTENTS,
            "replaces": _text(200),
            "est_ready_at": _time_or_null,
        },
        "id",
    )


def _leg(state: Check) -> Check:
    return _object(
        {
            "id": _ID,
            "state": state,
            "native_state": _text(80),
            "est_delivery_at": _time_or_null,
            "courier": _COURIER,
            "part_ids": _list(_text(200), 200),
        },
        "id",
    )


@cache
def _update_check(*, any_state: bool) -> Check:
    state = _foreign_state if any_state else _one_of(STATES)
    leg_state = _foreign_state if any_state else _one_of(LEG_STATES)
    return _object(
        {
            "mode": _one_of(frozenset({"snapshot", "partial"})),
            "order": _ORDER,
            "state": state,
            "flags": _object({"delayed": _boolean}),
            "parts": _list(_part(state), 200),
            "legs": _list(_leg(leg_state), 20),
            "items": _list(_ITEM, 500),
            "refunds": _list(_ITEM, 500),
            "customer": _CUSTOMER,
            "times": _TIMES,
            "fulfillment": _object(
                {
                    "type": _one_of(FULFILLMENTS),
                    "scheduled": _boolean,
                    "table": _text(40),
                }
            ),
            "location": _object({"id": _text(200), "timezone": _text(64)}, "id"),
            "reason": _object(
                {
                    "code": _text(
                        60, pattern=r"[a-z0-9_]{1,60}", shape="lower case, digits and _ only"
                    ),
                    "text": _text(500),
                }
            ),
            "courier": _COURIER,
            "note": _text(2000),
        },
        "order",
    )


def check_update(data: Any, *, path: str = "data", any_state: bool = False) -> dict[str, Any]:
    """``data`` if it is a public order update; else PayloadMalformed naming the path.

    ``any_state`` lets words through that are no canonical state, for senders whose words a
    manager maps later.
    """
    _update_check(any_state=any_state)(data, path)
    checked: dict[str, Any] = data
    for name in ("parts", "legs", "items", "refunds"):
        ids = [entry["id"] for entry in checked.get(name, ())]
        if len(ids) != len(set(ids)):
            _fail(f"{path}.{name}", "an id appears twice")
    return checked
