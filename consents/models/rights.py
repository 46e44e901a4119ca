"""Rights people use, and the books kept about their data."""

from __future__ import annotations

import uuid

from django.db import models

from consents.encryption import EncryptedBinaryField, EncryptedTextField
from consents.models.people import ContactAddress, SenderGroup, Subject


class RightsRequest(models.Model):
    """Somebody used a right: to see, take along, restrict or erase their data, or to complain."""

    class Kind(models.TextChoices):
        ACCESS = "access"
        RESTRICTION = "restriction"
        ERASURE = "erasure"
        OBJECTION = "objection"
        COMPLAINT = "complaint"

    class State(models.TextChoices):
        OPEN = "open"
        WORKING = "working"
        DONE = "done"
        REFUSED = "refused"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sender_group = models.ForeignKey(SenderGroup, on_delete=models.CASCADE)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    #: null once the person is erased; ``subject_ref`` stays
    subject = models.ForeignKey(Subject, null=True, on_delete=models.SET_NULL, related_name="+")
    subject_ref = models.UUIDField()
    #: portal | staff | api
    asked_via = models.CharField(max_length=10, default="portal")
    #: what the person wrote, or what staff noted
    text = EncryptedTextField(default="", blank=True)
    received_at = models.DateTimeField()
    #: by law: a month, or 30 days for a complaint to be acknowledged
    due_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.CharField(max_length=150, blank=True)
    #: what was done, in codes and counts, without personal data; vendors' answers among it
    outcome = models.JSONField(default=dict, blank=True)
    #: the export, for seven days
    file = EncryptedBinaryField(null=True, blank=True)
    file_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.kind} of {str(self.subject_ref)[:8]}"


class RetentionRun(models.Model):
    """One night's clearing out: what was deleted, or would have been."""

    ran_at = models.DateTimeField()
    is_dry_run = models.BooleanField(default=False)
    #: rule -> rows
    counts = models.JSONField(default=dict)
    #: rows kept because of a legal hold
    held = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.ran_at:%Y-%m-%d}: {sum(self.counts.values())} rows"


class AddressReveal(models.Model):
    """Somebody looked at a whole phone number or mailbox."""

    address = models.ForeignKey(ContactAddress, null=True, on_delete=models.SET_NULL)
    masked = models.CharField(max_length=80)
    seen_by = models.CharField(max_length=150)
    seen_at = models.DateTimeField()
    #: why, in their words
    why = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.masked} by {self.seen_by}"


class ConsentImport(models.Model):
    """A list of consents somebody brought along, row by row with what became of it."""

    sender_group = models.ForeignKey(SenderGroup, on_delete=models.CASCADE)
    name = models.CharField(max_length=200)
    #: SHA-256 of the file: the same list twice is one import
    sha256 = models.CharField(max_length=64)
    made_by = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    #: outcome -> rows
    counts = models.JSONField(default=dict)
    #: [row number, code] of every row that was not taken, no values
    problems = models.JSONField(default=list)
    #: the list itself, until every row of it was taken
    file = EncryptedBinaryField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sender_group", "sha256"], name="one_import_per_file")
        ]

    def __str__(self) -> str:
        return self.name
