"""The public shapes of the consent API; addresses are always masked in answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from consents.import_rows import CHANNELS
from consents.models import ConsentAction, Purpose, RightsRequest
from notifications.triggers import route_triggers
from orders.api_fields import CodeField, FlagField, MomentField, StrictSerializer, TextField

Out = serializers.Serializer[Any]

PURPOSES = tuple(str(purpose) for purpose in Purpose)
#: what a caller may ask for; "lifted" is always refused, and the try is on record
SAYABLE = ("granted", "denied", "withdrawn", "suppressed", "lifted")
SCOPES = ("category", "channel", "all")
REQUEST_KINDS = tuple(str(kind) for kind in RightsRequest.Kind)
TRIGGERS = tuple(name for name, _word in route_triggers())


class UuidField(TextField):
    """A UUID as text, nothing else."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        return serializers.UUIDField().run_validation(text)


class AddressIn(StrictSerializer):
    """An address by our id, or by channel and value."""

    id = UuidField(required=False)
    channel = CodeField(choices=sorted(CHANNELS), required=False)
    value = TextField(required=False, max_length=320, help_text="a phone number or a mailbox")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one way of naming it."""
        named = "value" in attrs and "channel" in attrs
        if ("id" in attrs) == named or ("id" in attrs and len(attrs) > 1):
            raise serializers.ValidationError(
                "must have either id, or channel and value", code="ambiguous"
            )
        return attrs


class ConsentEventIn(StrictSerializer):
    """What a person said about being told, and how you know."""

    address = AddressIn()
    purpose = CodeField(choices=PURPOSES)
    action = CodeField(choices=SAYABLE)
    scope = CodeField(choices=SCOPES, required=False, default="category")
    occurred_at = MomentField(help_text="when the person said it")
    notice = TextField(
        required=False, max_length=80, help_text="the wording they saw, as 'key:version'"
    )
    language = TextField(required=False, max_length=10)
    origin = TextField(
        required=False, max_length=200, help_text="where they said it: the proof you can show"
    )


class ShownAddressOut(Out):
    """An address as people may see it."""

    id = serializers.UUIDField(source="public_id")
    channel = serializers.CharField()
    masked = serializers.CharField()


class ConsentEventOut(Out):
    """One row of the ledger."""

    id = serializers.UUIDField()
    purpose = serializers.CharField()
    action = serializers.ChoiceField(choices=ConsentAction.values)
    scope = serializers.CharField()
    lawful_basis = serializers.CharField()
    reason = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # the member is called so
    notice = serializers.CharField(
        source="notice_version", default=None, allow_null=True, help_text="the wording, or null"
    )
    language = serializers.CharField()
    policy_version = serializers.CharField()
    actor_type = serializers.CharField()
    occurred_at = MomentField()
    recorded_at = MomentField()
    valid_until = MomentField(allow_null=True)


class RecordedOut(Out):
    """What the ledger made of a statement: a grant without proof reads 'pending'."""

    object = serializers.SerializerMethodField(help_text="always 'consent_event'")
    address = ShownAddressOut()
    asked = serializers.CharField(help_text="the action that was asked for")
    event = ConsentEventOut()

    def get_object(self, recorded: Any) -> str:
        return "consent_event"


class ConsentStateOut(Out):
    """What the ledger says about one purpose."""

    purpose = serializers.CharField()
    state = serializers.CharField()
    is_customer_refusal = serializers.BooleanField(help_text="only the person can undo it")
    carrier_block = serializers.CharField()
    since = MomentField()
    valid_until = MomentField(allow_null=True)
    event = serializers.UUIDField(source="event_id")


class SuppressionOut(Out):
    """A scope in which nothing may be sent."""

    scope = serializers.CharField()
    reason = serializers.CharField()
    since = MomentField()
    event = serializers.UUIDField(source="event_id")


class ConsentOut(Out):
    """What one address agreed to, and every row that says so (the newest 200)."""

    object = serializers.SerializerMethodField(help_text="always 'consent'")
    address = ShownAddressOut()
    states = ConsentStateOut(many=True)
    suppressions = SuppressionOut(many=True)
    events = ConsentEventOut(many=True)
    events_total = serializers.IntegerField()

    def get_object(self, consent: Any) -> str:
        return "consent"


class PreviewIn(StrictSerializer):
    """A message that might be sent. Name an address, or an order whose guest it is for."""

    address = UuidField(required=False)
    order = UuidField(required=False)
    purpose = CodeField(choices=PURPOSES, required=False, default="order_updates")
    trigger = CodeField(
        choices=TRIGGERS, required=False, help_text="the news, e.g. status_changed:ready"
    )
    critical = FlagField(required=False, default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """At least one of the two."""
        if not attrs.keys() & {"address", "order"}:
            raise serializers.ValidationError("must name an address or an order", code="required")
        return attrs


class RuleOut(Out):
    """One question that was asked, in order."""

    rule = serializers.CharField()
    verdict = serializers.CharField(help_text="pass, skip, delay or drop")
    why = serializers.CharField()


class DecisionOut(Out):
    """What would be decided now about one person at one address."""

    address = ShownAddressOut()
    verdict = serializers.CharField(help_text="allow, delay or drop")
    code = serializers.CharField()
    until = MomentField(allow_null=True)
    basis = serializers.CharField()
    policy_version = serializers.CharField()
    rules = RuleOut(many=True)
    events = serializers.ListField(child=serializers.UUIDField(), help_text="ledger rows relied on")


class PreviewOut(Out):
    """The decisions; nothing was sent or written."""

    object = serializers.CharField(help_text="always 'decision_preview'")
    decided_at = MomentField()
    data = DecisionOut(many=True)  # type: ignore[assignment]  # the member is called so


class RightsRequestIn(StrictSerializer):
    """Somebody used a right: name them by an address or an order of theirs."""

    kind = CodeField(choices=REQUEST_KINDS)
    address = UuidField(required=False)
    order = UuidField(required=False)
    text = TextField(required=False, default="", allow_blank=True, max_length=4000)

    validate = PreviewIn.validate


class RightsRequestOut(Out):
    """A request and its clock. It begins once somebody of the staff checked who asks."""

    id = serializers.UUIDField(source="public_id")
    object = serializers.SerializerMethodField(help_text="always 'rights_request'")
    kind = serializers.CharField()
    state = serializers.CharField()
    received_at = MomentField()
    due_at = MomentField()

    def get_object(self, request: RightsRequest) -> str:
        return "rights_request"
