"""Configured sources and the raw calls they made."""

from __future__ import annotations

import secrets
import uuid

from django.db import models

from consents.encryption import EncryptedBinaryField, EncryptedJSONField
from integrations import registry
from orders.models.restaurant import Location, Restaurant


def source_choices() -> list[tuple[str, str]]:
    """Callable, so that a new source makes no migration."""
    return [(key, key.replace("_", " ").title()) for key in sorted(registry.SOURCES)]


def new_token() -> str:
    """The unguessable last part of a webhook URL."""
    return secrets.token_urlsafe(24)


class AccountMode(models.TextChoices):
    SANDBOX = "sandbox"
    LIVE = "live"


class SourceAccount(models.Model):
    """One configured connection to a source of one restaurant."""

    restaurant = models.ForeignKey(
        Restaurant, on_delete=models.CASCADE, related_name="source_accounts"
    )
    #: where orders go whose update names no location (or any, while this location has no names)
    location = models.ForeignKey(Location, null=True, blank=True, on_delete=models.SET_NULL)
    source = models.CharField(max_length=40, choices=source_choices)
    name = models.CharField(max_length=80)
    token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    mode = models.CharField(max_length=8, choices=AccountMode.choices, default=AccountMode.SANDBOX)
    enabled = models.BooleanField(default=True)
    settings = EncryptedJSONField(default=dict)
    #: overrides Source.priority per track, {"kitchen": 40}
    priority = models.JSONField(default=dict, blank=True)
    #: milestones the source tells the customer itself: we stay silent on those
    told_by_source = models.JSONField(default=list, blank=True)
    #: manager's additions {"stream": {"NATIVE": "canonical" or ""}}; each change is a version
    status_map = models.JSONField(default=dict, blank=True)
    status_map_version = models.PositiveIntegerField(default=1)
    #: canonical states that ever arrived; routes waiting for others are shown as dead
    seen_states = models.JSONField(default=list, blank=True)
    last_call_at = models.DateTimeField(null=True, blank=True)
    #: a ping or challenge of the vendor (or of anybody who knows the address) was answered
    last_handshake_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: everything the source changed before this moment was seen by a poll that ended well
    last_polled_at = models.DateTimeField(null=True, blank=True)
    #: not polled before; while a worker polls, the end of its lease
    poll_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: why the last poll did not end well; "" = it did
    poll_error = models.CharField(max_length=200, blank=True, editable=False)
    #: the last call before a silence staff were told about
    silent_since = models.DateTimeField(null=True, blank=True, editable=False)
    signature_failures = models.PositiveIntegerField(default=0)
    last_signature_failure_at = models.DateTimeField(null=True, blank=True)
    last_signature_hint = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class InboundCall(models.Model):
    """One verified call of a source, kept as it came (encrypted) before anybody reads it.

    States: received (stored, not read yet) > applied | ignored | waiting (a follow-up GET is
    due) | parked | quarantined (we could not read or map it) | failed (our bug).
    """

    account = models.ForeignKey(SourceAccount, on_delete=models.CASCADE, related_name="calls")
    event_key = models.CharField(max_length=300)
    body = EncryptedBinaryField()
    headers = EncryptedJSONField(default=dict)
    body_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=12, default="received")
    #: what is wrong, in words a manager can act on; never personal data
    cause = models.CharField(max_length=500, blank=True)
    order = models.ForeignKey(
        "orders.Order", null=True, blank=True, on_delete=models.SET_NULL, related_name="calls"
    )
    received_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    #: the same key came again with another body
    conflicting_bodies = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "event_key"], name="one_call_per_event")
        ]
        indexes = [
            models.Index(
                fields=["received_at"],
                name="calls_unread",
                condition=models.Q(state__in=["received", "waiting"]),
            ),
            models.Index(
                fields=["account", "-received_at"],
                name="calls_quarantined",
                condition=models.Q(state__in=["quarantined", "failed"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_key} {self.state}"


class UnknownWord(models.Model):
    """Something a source says that nobody here knows yet: a state, or the name of a kitchen.

    Counted while it comes; the row goes when a manager says what it means.
    """

    account = models.ForeignKey(
        SourceAccount, on_delete=models.CASCADE, related_name="unknown_words"
    )
    about = models.CharField(max_length=8, choices=[("state", "state"), ("location", "location")])
    #: where the source says it, as status maps name it; "" for locations
    stream = models.CharField(max_length=80, blank=True)
    word = models.CharField(max_length=200)
    times = models.PositiveIntegerField(default=1)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    #: the newest call that says it
    call = models.ForeignKey(InboundCall, null=True, blank=True, on_delete=models.SET_NULL)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "about", "stream", "word"], name="one_unknown_word"
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.word}".strip()


class StatusMapChange(models.Model):
    """One word of a status map given another meaning. Only ever added to."""

    account = models.ForeignKey(
        SourceAccount, on_delete=models.CASCADE, related_name="status_map_changes"
    )
    #: SourceAccount.status_map_version from then on
    version = models.PositiveIntegerField()
    stream = models.CharField(max_length=80)
    word = models.CharField(max_length=200)
    #: a State; "" = says nothing about it; null = nobody has said
    before = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001 - see above
    after = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001 - see above
    #: user name of the manager
    changed_by = models.CharField(max_length=150)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "version", "stream", "word"], name="one_change_per_version"
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.word}: {self.before} > {self.after}"


class PendingFollowUp(models.Model):
    """A GET that thin events of one order asked for; one row however many events did."""

    account = models.ForeignKey(SourceAccount, on_delete=models.CASCADE)
    coalesce_key = models.CharField(max_length=300)
    order_external_id = models.CharField(max_length=200)
    url = models.TextField()
    context = models.JSONField(default=dict)
    call = models.ForeignKey(InboundCall, null=True, on_delete=models.SET_NULL)
    due_at = models.DateTimeField()
    #: goes up with each event; a GET that began before the last event is repeated
    asked = models.PositiveIntegerField(default=1)
    tries = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "coalesce_key"], name="one_follow_up_per_order"
            )
        ]

    def __str__(self) -> str:
        return f"{self.coalesce_key} due {self.due_at:%H:%M:%S}"


class ParkedUpdate(models.Model):
    """Courier news about an order nobody knows yet; attached when an alias appears, else 48 h."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(SourceAccount, on_delete=models.CASCADE)
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    call = models.ForeignKey(InboundCall, null=True, on_delete=models.SET_NULL)
    #: "system|id" of every name this update knows the order by
    alias_keys = models.JSONField(default=list)
    #: the update, as intake.serialize_update wrote it
    update = EncryptedJSONField()
    parked_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["restaurant", "parked_at"], name="parked_by_age")]

    def __str__(self) -> str:
        return f"parked {self.parked_at:%H:%M:%S}"
