"""The decision, the outbox, every try and everything that came back."""

from __future__ import annotations

import uuid

from django.db import models

from consents.encryption import EncryptedTextField
from notifications.models.account import ProviderAccount
from notifications.models.route import Audience, Route


class DeliveryState(models.TextChoices):
    """Codes never change; ends are everything after ``accepted``."""

    WAITING = "waiting"  # a fallback or escalation step whose moment has not come
    QUEUED = "queued"
    CLAIMED = "claimed"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"


#: not sent yet: what a withdrawal cancels and a newer event supersedes
UNSENT = (DeliveryState.WAITING, DeliveryState.QUEUED, DeliveryState.CLAIMED)


class Notification(models.Model):
    """One order event x one recipient: the decision, with its trace."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    #: null for an answer that is about no order (a STOP confirmation, HELP)
    event = models.ForeignKey(
        "orders.OrderEvent",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="notifications",
    )
    order = models.ForeignKey(
        "orders.Order",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="notifications",
    )
    restaurant = models.ForeignKey("orders.Restaurant", on_delete=models.CASCADE)
    route = models.ForeignKey(Route, null=True, on_delete=models.SET_NULL)
    audience = models.CharField(max_length=10, choices=Audience.choices)
    subject = models.ForeignKey(
        "consents.Subject", null=True, blank=True, on_delete=models.SET_NULL
    )
    #: who it is for: "subject:<uuid>" or "account:<id>" (a team chat); unique with the event
    recipient_key = models.CharField(max_length=60)
    kind = models.CharField(max_length=24)
    milestone = models.CharField(max_length=120)
    purpose = models.CharField(max_length=20)
    is_critical = models.BooleanField(default=False)
    is_urgent = models.BooleanField(default=False)
    #: list of {"at","step","verdict","why"}: everything that decided about this message
    trace = models.JSONField(default=list)
    #: event ids this message tells as well (calm ones that happened while it settled)
    merged_events = models.JSONField(default=list)
    expires_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["event", "audience", "recipient_key"], name="one_notification_per_recipient"
            )
        ]
        indexes = [
            models.Index(fields=["restaurant", "-created_at"], name="notifications_recent"),
            models.Index(fields=["order", "created_at"], name="notifications_of_order"),
        ]

    def __str__(self) -> str:
        return f"{self.milestone} -> {self.audience}"


class Delivery(models.Model):
    """One notification x one address x one account: the outbox row."""

    notification = models.ForeignKey(
        Notification, on_delete=models.CASCADE, related_name="deliveries"
    )
    #: null where the account itself is the address (a team chat)
    address = models.ForeignKey(
        "consents.ContactAddress", null=True, blank=True, on_delete=models.SET_NULL
    )
    account = models.ForeignKey(
        ProviderAccount, on_delete=models.CASCADE, related_name="deliveries"
    )
    channel = models.CharField(max_length=20)
    step = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(
        max_length=10, choices=DeliveryState.choices, default=DeliveryState.QUEUED
    )
    #: "" or why it ended: consent_withdrawn, no_consent, expired, superseded_by ...
    reason = models.CharField(max_length=60, blank=True)
    #: messages of one lane leave one after the other: "<order>:<address or account>"
    lane = models.CharField(max_length=60)
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    #: the attempt now in flight, or the last one
    attempt = models.UUIDField(null=True, blank=True)
    template_version = models.ForeignKey(
        "notifications.MessageTemplateVersion", null=True, blank=True, on_delete=models.SET_NULL
    )
    vendor_id = models.CharField(max_length=200, blank=True)
    #: consent: when it was last asked, and which ledger events and policy it relied on
    consent_checked_at = models.DateTimeField(null=True, blank=True)
    consent_basis = models.JSONField(default=dict)
    overtaken_by_withdrawal = models.BooleanField(default=False)
    #: whoever it went to was forgotten; it keeps its state and has no address
    is_erased = models.BooleanField(default=False, db_default=False, editable=False)
    #: a person decided to send it again although the outcome is unknown
    resent_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["notification", "step", "address", "account"],
                name="one_delivery_per_address",
                nulls_distinct=False,
                condition=models.Q(is_erased=False),
            )
        ]
        indexes = [
            models.Index(
                fields=["account", "due_at"],
                name="outbox_due",
                condition=models.Q(state="queued"),
            ),
            models.Index(
                fields=["lane", "id"],
                name="outbox_lane",
                condition=models.Q(state__in=["queued", "claimed", "sending"]),
            ),
            models.Index(
                fields=["lease_until"],
                name="outbox_leases",
                condition=models.Q(state__in=["claimed", "sending"]),
            ),
            models.Index(
                fields=["due_at"],
                name="outbox_waiting",
                condition=models.Q(state="waiting"),
            ),
            models.Index(
                fields=["account", "vendor_id"],
                name="deliveries_by_vendor_id",
                condition=~models.Q(vendor_id=""),
            ),
            models.Index(fields=["address", "created_at"], name="deliveries_of_address"),
            models.Index(
                fields=["-created_at"],
                name="dead_letters",
                condition=models.Q(state__in=["failed", "unknown"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.state}"


class Attempt(models.Model):
    """One try. Written before the vendor is called; its id travels in what the vendor echoes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE)
    number = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    #: "" while in flight; accepted or a code of integrations.errors (or "config", "not_sent")
    outcome = models.CharField(max_length=20, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    vendor_code = models.CharField(max_length=60, blank=True)
    vendor_id = models.CharField(max_length=200, blank=True)
    detail = models.CharField(max_length=200, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    segments = models.PositiveSmallIntegerField(default=0)

    def __str__(self) -> str:
        return f"#{self.number} {self.outcome or 'in flight'}"


class Receipt(models.Model):
    """One later statement of a vendor. Append-only; may arrive before our own commit."""

    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE)
    delivery = models.ForeignKey(
        Delivery, null=True, blank=True, on_delete=models.CASCADE, related_name="receipts"
    )
    attempt_ref = models.UUIDField(null=True, blank=True)
    vendor_id = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=14)
    vendor_code = models.CharField(max_length=60, blank=True)
    error = models.CharField(max_length=20, blank=True)
    #: the vendor's event id, or derived from the fields: one row per statement
    event_id = models.CharField(max_length=200)
    vendor_time = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "event_id"], name="one_receipt_per_event")
        ]
        indexes = [
            models.Index(
                fields=["received_at"],
                name="receipts_unmatched",
                condition=models.Q(delivery__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.vendor_code}".strip()


class InboundMessage(models.Model):
    """Words or a button press a person sent us, and what we made of them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE)
    vendor_id = models.CharField(max_length=200)
    channel = models.CharField(max_length=20)
    address = models.ForeignKey(
        "consents.ContactAddress", null=True, blank=True, on_delete=models.SET_NULL
    )
    order = models.ForeignKey("orders.Order", null=True, blank=True, on_delete=models.SET_NULL)
    text = EncryptedTextField(default="")
    #: stop | start | help | status | acknowledge | other
    intent = models.CharField(max_length=12)
    #: what we did, in a word the timeline shows
    outcome = models.CharField(max_length=60, blank=True)
    #: the vendor's conversation it was said in (a ticket), where answers belong
    thread = models.CharField(max_length=200, blank=True, db_default="")
    received_at = models.DateTimeField()
    #: kept for 90 days, or until the person asked us to forget it; then ``text`` is empty
    text_removed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "vendor_id"], name="one_inbound_message")
        ]

    def __str__(self) -> str:
        return f"{self.intent} on {self.channel}"


class Heartbeat(models.Model):
    """Proof of life of one moving part ("dispatch", "sweep", "eta_watch", "beat")."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()
    detail = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name
