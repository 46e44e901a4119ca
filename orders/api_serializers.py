"""The public shapes of the orders API, one class per direction; inputs mirror the order update.

``<Name>In`` is what a caller may send, ``<Name>Out`` what it gets. Limits are those of the
canonical order update.
"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from integrations.contracts import State
from orders.api_fields import (
    CodeField,
    FlagField,
    MailField,
    MomentField,
    NearMomentField,
    PatternField,
    QuantityField,
    StrictSerializer,
    TextField,
    TimezoneField,
    unique_ids,
)
from orders.clocks import AHEAD

STATES = [state.value for state in State]
LEG_STATES = [
    State.OUT_FOR_DELIVERY.value,
    State.DELIVERED.value,
    State.CANCELLED.value,
    State.FAILED.value,
]
FULFILLMENTS = ["pickup", "delivery", "dine_in", "curbside", "drive_through", "shipping"]
CONTACT_KINDS = ["direct", "masked", "relay", "none"]
PART_KINDS = ["item", "fulfillment"]


def _texts(**limits: Any) -> serializers.ListField:
    return serializers.ListField(
        child=TextField(max_length=200, allow_blank=True), required=False, **limits
    )


def _rows(
    kind: type[StrictSerializer], longest: int, **limits: Any
) -> serializers.ListSerializer[Any]:
    return serializers.ListSerializer(child=kind(), max_length=longest, **limits)


def _moment() -> MomentField:
    return MomentField(required=False, allow_null=True)


def _estimate() -> NearMomentField:
    return NearMomentField(required=False, allow_null=True)


class AliasIn(StrictSerializer):
    """Another system's name for the order."""

    system = PatternField(r"[a-z0-9_]{1,40}", "must be 1 to 40 of a-z, 0-9 and _")
    id = TextField(max_length=200)


class OrderRefIn(StrictSerializer):
    """Which order the update is about: the sender's own id, opaque."""

    id = TextField(max_length=200)
    display = TextField(max_length=40, required=False, allow_blank=True)
    aliases = _rows(AliasIn, 20, required=False)


class FlagsIn(StrictSerializer):
    """What the sender states beside the state; later estimates need no flag."""

    delayed = FlagField(required=False)


class ItemIn(StrictSerializer):
    """One line of what was ordered."""

    id = TextField(max_length=200)
    label = TextField(max_length=200, allow_blank=True)  # type: ignore[assignment]  # the member is called so
    quantity = QuantityField(required=False)
    modifiers = _texts(max_length=100)


class ContentIn(StrictSerializer):
    """How many of which item a part of kind fulfillment holds."""

    item_id = TextField(max_length=200)
    quantity = QuantityField(required=False)


class PartIn(StrictSerializer):
    """A bowl, box or course that completes on its own."""

    id = TextField(max_length=200)
    kind = CodeField(choices=PART_KINDS, required=False)
    label = TextField(max_length=200, required=False, allow_blank=True)  # type: ignore[assignment]  # the member is called so
    quantity = QuantityField(required=False)
    state = CodeField(choices=STATES, required=False)
    modifiers = _texts(max_length=100)
    contents = _rows(ContentIn, 200, required=False)
    replaces = TextField(max_length=200, required=False)
    est_ready_at = _estimate()


class CourierIn(StrictSerializer):
    """Who brings it; no positions, no numbers."""

    name = TextField(max_length=100, required=False, allow_blank=True)
    phone_kind = CodeField(choices=CONTACT_KINDS, required=False)
    tracking_url = PatternField(
        r"https://[^\s/?#]+[^\s]*", "must be an https URL", max_length=2000, required=False
    )


class LegIn(StrictSerializer):
    """One courier trip."""

    id = TextField(max_length=200)
    state = CodeField(choices=LEG_STATES, required=False)
    native_state = TextField(max_length=80, required=False, allow_blank=True)
    est_delivery_at = _estimate()
    courier = CourierIn(required=False)
    part_ids = _texts(max_length=200)


class CustomerIn(StrictSerializer):
    """Who ordered; only a direct contact is ever messaged."""

    name = TextField(max_length=200, required=False, allow_blank=True)
    phone = PatternField(
        r"\+[1-9][0-9]{6,14}", "must be an E.164 number like +12025550143", required=False
    )
    email = MailField(max_length=254, required=False)
    contact_kind = CodeField(choices=CONTACT_KINDS, required=False)
    locale = PatternField(
        r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*",
        "must be a language tag like en-US",
        max_length=35,
        required=False,
    )
    external_id = TextField(max_length=200, required=False, allow_blank=True)


class TimesIn(StrictSerializer):
    """Promises and estimates; null clears one, an absent one stays."""

    promised_at = _moment()
    promised_until = _moment()
    est_ready_at = _estimate()
    est_delivery_at = _estimate()
    placed_at = _moment()


class FulfillmentIn(StrictSerializer):
    """How the order reaches the guest."""

    type = CodeField(choices=FULFILLMENTS, required=False)
    scheduled = FlagField(required=False)
    table = TextField(max_length=40, required=False, allow_blank=True)


class LocationIn(StrictSerializer):
    """Which kitchen, by the sender's id."""

    id = TextField(max_length=200)
    timezone = TimezoneField(max_length=64, required=False)


class ReasonIn(StrictSerializer):
    """Why; the text is for staff unless a manager releases it."""

    code = PatternField(r"[a-z0-9_]{1,60}", "must be 1 to 60 of a-z, 0-9 and _", required=False)
    text = TextField(max_length=500, required=False, allow_blank=True)


class _ListsIn(StrictSerializer):
    """What every body with lists of rows has in common: ids are unique inside a list."""

    def validate_items(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        unique_ids(rows)
        return rows

    validate_refunds = validate_items
    validate_parts = validate_items
    validate_legs = validate_items


class OrderUpdateIn(_ListsIn):
    """The order update: in mode partial an absent member means unchanged."""

    mode = CodeField(choices=["snapshot", "partial"], required=False)
    order = OrderRefIn()
    state = CodeField(choices=STATES, required=False)
    flags = FlagsIn(required=False)
    parts = _rows(PartIn, 200, required=False)
    legs = _rows(LegIn, 20, required=False)
    items = _rows(ItemIn, 500, required=False)
    refunds = _rows(ItemIn, 500, required=False)
    customer = CustomerIn(required=False)
    times = TimesIn(required=False)
    fulfillment = FulfillmentIn(required=False)
    location = LocationIn(required=False)
    reason = ReasonIn(required=False)
    courier = CourierIn(required=False)
    note = TextField(max_length=2000, required=False, allow_blank=True)


class OrderPatchIn(_ListsIn):
    """Changes of an order; ``items`` and ``customer`` replace what was there as a whole."""

    items = _rows(ItemIn, 500, required=False)
    customer = CustomerIn(required=False)
    times = TimesIn(required=False)
    fulfillment = FulfillmentIn(required=False)
    flags = FlagsIn(required=False)
    note = TextField(max_length=2000, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _at_least_one(self, attrs)


class StatusIn(StrictSerializer):
    """A new state of the order, or of one part of it."""

    state = CodeField(choices=STATES)
    part = TextField(max_length=200, required=False)
    reason = ReasonIn(required=False)
    occurred_at = NearMomentField(
        ahead=AHEAD,
        required=False,
        help_text="for display and freshness; updates are ordered by arrival",
    )


class SplitIn(_ListsIn):
    """The parts the order consists of from now on; parts not listed are removed.

    ``replaces`` says which part a new one comes from. Where all new parts can only come from one
    (the undivided order, or the single part that is not listed any more) it may be left out.
    """

    parts = _rows(PartIn, 200, allow_empty=False)


class EtaIn(StrictSerializer):
    """New estimates of the order, or the ready estimate of one part; null clears one."""

    est_ready_at = _estimate()
    est_delivery_at = _estimate()
    part = TextField(max_length=200, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "part" in attrs and "est_delivery_at" in attrs:
            raise serializers.ValidationError(
                {"est_delivery_at": ["belongs to the order, not to a part"]}
            )
        if "part" in attrs and "est_ready_at" not in attrs:
            raise serializers.ValidationError({"est_ready_at": ["This field is required."]})
        return _at_least_one(self, attrs)


def _at_least_one(body: StrictSerializer, attrs: dict[str, Any]) -> dict[str, Any]:
    if not attrs:
        names = ", ".join(body.fields)
        raise serializers.ValidationError(f"must hold at least one of {names}", code="required")
    return attrs
