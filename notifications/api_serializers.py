"""The public shapes of the notifications API; addresses are always masked."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from notifications.models import DeliveryState, Notification
from notifications.models.route import Audience
from orders.api_fields import MomentField
from orders.api_pages import PageOut, PageQuery

Out = serializers.Serializer[Any]


class NotificationQuery(PageQuery):
    """Which notifications to list."""

    order = serializers.UUIDField(required=False, help_text="id of the order")
    audience = serializers.ChoiceField(choices=Audience.values, required=False)
    state = serializers.ChoiceField(
        choices=DeliveryState.values,
        required=False,
        help_text="has a delivery in this state",
    )


class EventOut(Out):
    """The change of the order that this notification tells."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    milestone = serializers.CharField()
    part = serializers.CharField(source="part_ref")
    epoch = serializers.IntegerField()
    held = serializers.CharField(help_text="why staff must see it first; empty: not held")
    is_stale = serializers.BooleanField(help_text="too old when it arrived: recorded, not told")
    source = serializers.CharField()  # type: ignore[assignment]  # the member is called so
    occurred_at = MomentField()
    recorded_at = MomentField()


class ReceiptOut(Out):
    """What the vendor said later."""

    kind = serializers.CharField()
    vendor_code = serializers.CharField()
    error = serializers.CharField()
    vendor_time = MomentField(allow_null=True)
    received_at = MomentField()


class AttemptOut(Out):
    """One try at the vendor."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    outcome = serializers.CharField(help_text="accepted, an error's code, or empty: in flight")
    http_status = serializers.IntegerField(allow_null=True)
    vendor_code = serializers.CharField()
    vendor_id = serializers.CharField()
    detail = serializers.CharField()
    duration_ms = serializers.IntegerField(allow_null=True)
    segments = serializers.IntegerField()
    started_at = MomentField()
    finished_at = MomentField(allow_null=True)


class DeliverySummaryOut(Out):
    """One way the notification takes, and how far it came."""

    id = serializers.IntegerField()
    channel = serializers.CharField()
    provider = serializers.CharField(source="account.provider")
    address = serializers.CharField(
        source="address.masked", default="", help_text="masked; empty for a team chat"
    )
    step = serializers.IntegerField()
    state = serializers.ChoiceField(choices=DeliveryState.values)
    reason = serializers.CharField(help_text="why it ended like that, or empty")
    due_at = MomentField()
    settled_at = MomentField(allow_null=True)


class DeliveryOut(DeliverySummaryOut):
    """A delivery with every try and everything the vendor said."""

    account = serializers.CharField(source="account.name")
    expires_at = MomentField()
    tries = serializers.IntegerField()
    vendor_id = serializers.CharField()
    consent_checked_at = MomentField(allow_null=True)
    consent_basis = serializers.JSONField()
    overtaken_by_withdrawal = serializers.BooleanField()
    resent_by = serializers.CharField()
    created_at = MomentField()
    attempts = AttemptOut(many=True, source="attempts.all")
    receipts = ReceiptOut(many=True, source="receipts.all")


class NotificationSummaryOut(Out):
    """One order event for one recipient."""

    id = serializers.UUIDField()
    object = serializers.SerializerMethodField(help_text="always 'notification'")
    order = serializers.UUIDField(source="order.public_id")
    audience = serializers.ChoiceField(choices=Audience.values)
    kind = serializers.CharField()
    milestone = serializers.CharField()
    purpose = serializers.CharField()
    is_critical = serializers.BooleanField()
    is_urgent = serializers.BooleanField()
    deliveries = DeliverySummaryOut(many=True, source="deliveries.all")
    created_at = MomentField()
    expires_at = MomentField()
    acknowledged_at = MomentField(allow_null=True)

    def get_object(self, notification: Notification) -> str:
        return "notification"


class TraceStepOut(Out):
    """One decision about the message, in the order they were made."""

    at = serializers.CharField(default=None, allow_null=True)
    step = serializers.CharField(default="")
    verdict = serializers.CharField(default="")
    why = serializers.CharField(default="")


class NotificationOut(NotificationSummaryOut):
    """A notification explained: who decided what, every delivery, every try, every receipt."""

    route = serializers.CharField(source="route.name", default=None, allow_null=True)
    event = EventOut()
    trace = TraceStepOut(many=True)
    merged_events = serializers.ListField(child=serializers.CharField())
    acknowledged_by = serializers.CharField()
    deliveries = DeliveryOut(many=True, source="deliveries.all")


class NotificationPageOut(PageOut):
    """A page of notifications, newest first."""

    data = NotificationSummaryOut(many=True)  # type: ignore[assignment]  # the member is called so
