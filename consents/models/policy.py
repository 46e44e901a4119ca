"""What people chose, what the law demands, and what staff must read."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from consents.encryption import EncryptedTextField
from consents.models.people import ContactAddress, SenderGroup, Subject


class Preference(models.Model):
    """What a subject chose; blanks mean "any". The most specific row wins."""

    subject = models.ForeignKey(Subject, on_delete=models.CASCADE, related_name="preferences")
    #: uuid of the one order this is about, null = all orders
    order_ref = models.UUIDField(null=True, blank=True)
    purpose = models.CharField(max_length=20, blank=True)
    event_kind = models.CharField(max_length=40, blank=True)
    channel = models.CharField(max_length=20, blank=True)
    is_allowed = models.BooleanField()
    set_by = models.CharField(max_length=20, default="customer")
    set_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "order_ref", "purpose", "event_kind", "channel"],
                name="one_preference",
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        words = [self.purpose or "everything", self.event_kind, self.channel]
        return f"{' '.join(w for w in words if w)}: {'on' if self.is_allowed else 'off'}"


class PolicyPack(models.Model):
    """Dated rules of one jurisdiction as data. A change of law is a new row, never an edit."""

    jurisdiction = models.CharField(max_length=10)
    version = models.CharField(max_length=40)
    effective_from = models.DateTimeField()
    effective_to = models.DateTimeField(null=True, blank=True)
    #: list of {"channel","purpose","required_basis","hours","max_per_day","optout_deadline_days"}
    rules = models.JSONField()
    sources = ArrayField(models.CharField(max_length=200), default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["jurisdiction", "version"], name="one_pack_version")
        ]

    def __str__(self) -> str:
        return f"{self.jurisdiction} {self.version}"


class InboxItem(models.Model):
    """Words from a person that staff must read: tier-2 and tier-3 replies, questions."""

    sender_group = models.ForeignKey(SenderGroup, on_delete=models.CASCADE)
    address = models.ForeignKey(ContactAddress, null=True, on_delete=models.SET_NULL)
    channel = models.CharField(max_length=20)
    #: opt_out_review | order_talk | question | phone_customer
    topic = models.CharField(max_length=20)
    text = EncryptedTextField(default="")
    #: kept for 90 days; then ``text`` is empty
    text_removed_at = models.DateTimeField(null=True, blank=True, editable=False)
    order_ref = models.UUIDField(null=True, blank=True)
    received_at = models.DateTimeField()
    #: marketing is held until somebody classified it
    holds_marketing = models.BooleanField(default=False)
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return f"{self.topic} on {self.channel}"
