"""The order as shown (a projection), what it was computed from, and what changed."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from integrations.contracts import State
from orders.models.restaurant import Location, Restaurant
from orders.models.source import InboundCall, SourceAccount

STATES = [(s.value, s.value.replace("_", " ")) for s in State]


class Order(models.Model):
    """One order. Everything below ``projected`` is written by intake.apply_projection alone."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE, related_name="orders")
    location = models.ForeignKey(Location, null=True, on_delete=models.PROTECT)
    #: who placed it; null until a source says so
    subject = models.ForeignKey(
        "consents.Subject", null=True, blank=True, on_delete=models.SET_NULL
    )
    #: only "direct" may be messaged; "" = nobody said yet
    contact_kind = models.CharField(max_length=8, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    #: the order this one proved to be: what was said of both counts there, this one is closed
    same_as = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="united",
        db_index=False,
        editable=False,
    )

    # projected
    display = models.CharField(max_length=40, blank=True)
    state = models.CharField(max_length=20, choices=STATES, default=State.RECEIVED)
    epoch = models.PositiveIntegerField(default=0)
    flags = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    fulfillment = models.CharField(max_length=16, default="pickup")
    is_scheduled = models.BooleanField(default=False)
    placed_at = models.DateTimeField(null=True, blank=True)
    promised_at = models.DateTimeField(null=True, blank=True)
    promised_until = models.DateTimeField(null=True, blank=True)
    est_ready_at = models.DateTimeField(null=True, blank=True)
    est_delivery_at = models.DateTimeField(null=True, blank=True)
    #: legs, courier, reason, state_since, edits: the rest of the projection, no personal data
    detail = models.JSONField(default=dict)
    updated_at = models.DateTimeField(null=True, blank=True)
    is_open = models.BooleanField(default=True)

    # delay watch (eta.py decides, intake and the watch write)
    #: first promise or estimate and what was last told
    baseline_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)
    delays_told = models.PositiveSmallIntegerField(default=0)
    last_delay_told_at = models.DateTimeField(null=True, blank=True)
    #: eta.py's own memory (estimate being confirmed, staff warnings sent)
    watch = models.JSONField(default=dict, blank=True)
    next_watch_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["restaurant", "-placed_at"],
                name="orders_open",
                condition=models.Q(is_open=True),
            ),
            models.Index(
                fields=["next_watch_at"],
                name="orders_watch",
                condition=models.Q(next_watch_at__isnull=False),
            ),
            models.Index(fields=["restaurant", "-created_at"], name="orders_recent"),
            models.Index(
                fields=["same_as"],
                name="orders_united",
                condition=models.Q(same_as__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.display or str(self.public_id)[:8]}"


class OrderAlias(models.Model):
    """A name one system has for an order. ``system`` is "account:<id>" for a source's own id."""

    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    system = models.CharField(max_length=60)
    external_id = models.CharField(max_length=200)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "system", "external_id"], name="one_order_per_alias"
            )
        ]
        verbose_name_plural = "order aliases"

    def __str__(self) -> str:
        return f"{self.system} {self.external_id}"


class Observation(models.Model):
    """One append-only statement about one scope of one order."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="observations")
    account = models.ForeignKey(SourceAccount, null=True, on_delete=models.SET_NULL)
    call = models.ForeignKey(InboundCall, null=True, blank=True, on_delete=models.SET_NULL)
    event_key = models.CharField(max_length=400)
    source = models.CharField(max_length=40)
    track = models.CharField(max_length=10)
    scope = models.CharField(max_length=6)
    ref = models.CharField(max_length=200, blank=True)
    ordering_class = models.CharField(max_length=10)
    ordering_key = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=10)
    native_state = models.CharField(max_length=120, blank=True)
    state = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001 - null says nothing
    snapshot_parts = ArrayField(models.CharField(max_length=200), null=True, blank=True)
    occurred_at = models.DateTimeField(null=True, blank=True)
    occurred_at_basis = models.CharField(max_length=20)
    received_at = models.DateTimeField()
    #: fragment of the public shape, without contact data
    data = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["order", "account", "event_key"],
                name="one_observation_per_event",
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.track} {self.native_state or self.kind}"


class Part(models.Model):
    """A bowl, box or course that completes on its own, as projected."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="parts")
    ref = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField(default=0)
    kind = models.CharField(max_length=12, default="item")
    label = models.CharField(max_length=200, blank=True)
    quantity = models.DecimalField(max_digits=10, decimal_places=3, default=1)
    #: a State, or "removed" (dropped by a snapshot)
    state = models.CharField(max_length=20)
    modifiers = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    #: [{"item_id","quantity"}] for kind fulfillment
    contents = models.JSONField(default=list, blank=True)
    replaces = models.CharField(max_length=200, blank=True)
    est_ready_at = models.DateTimeField(null=True, blank=True)
    state_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["order", "ref"], name="one_part_per_ref")]

    def __str__(self) -> str:
        return self.label or self.ref


class Item(models.Model):
    """A line of the order, as projected."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="items")
    ref = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField(default=0)
    label = models.CharField(max_length=200)
    quantity = models.DecimalField(max_digits=10, decimal_places=3, default=1)
    modifiers = ArrayField(models.CharField(max_length=200), default=list, blank=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["order", "ref"], name="one_item_per_ref")]

    def __str__(self) -> str:
        return f"{self.quantity.normalize():f} x {self.label}"


class OrderEvent(models.Model):
    """One change of the projection. Append-only; at most one per part, milestone and epoch."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="events")
    #: status_changed | part_status_changed | order_edited | order_split | eta_changed |
    #: order_delayed | status_requested
    kind = models.CharField(max_length=24)
    #: a State, or what makes the event unique ("edited:3", "delayed:1", "asked:<message>")
    milestone = models.CharField(max_length=120)
    part_ref = models.CharField(max_length=200, blank=True)
    epoch = models.PositiveIntegerField(default=0)
    #: diff, previous state, estimates, counts: what the templates and the timeline show
    data = models.JSONField(default=dict)
    #: "" or why staff must see it before the customer does
    held = models.CharField(max_length=40, blank=True)
    #: older than the milestone's freshness when we learned it: recorded, not told
    is_stale = models.BooleanField(default=False)
    source = models.CharField(max_length=40, blank=True)
    account = models.ForeignKey(SourceAccount, null=True, blank=True, on_delete=models.SET_NULL)
    call = models.ForeignKey(InboundCall, null=True, blank=True, on_delete=models.SET_NULL)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["order", "part_ref", "milestone", "epoch"], name="one_event_per_milestone"
            )
        ]
        indexes = [models.Index(fields=["order", "recorded_at"], name="events_of_order")]

    def __str__(self) -> str:
        return f"{self.kind} {self.milestone}"
