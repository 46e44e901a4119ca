"""The append-only ledger and what is derived from it.

The ledger (``ConsentEvent``) is guarded by database triggers (migration 0002): UPDATE, DELETE and
TRUNCATE fail, whoever asks. State and suppressions are derived and rebuildable.
"""

from __future__ import annotations

import uuid

from django.db import models

from consents.encryption import EncryptedBinaryField, EncryptedJSONField
from consents.models.people import SenderGroup


class Purpose(models.TextChoices):
    ORDER_UPDATES = "order_updates"
    SERVICE_REPLY = "service_reply"
    SECURITY = "security"
    FEEDBACK = "feedback"
    MARKETING = "marketing"
    STAFF_OPS = "staff_ops"
    PARTNER_OPS = "partner_ops"


class ConsentAction(models.TextChoices):
    GRANTED = "granted"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    SUPPRESSED = "suppressed"
    LIFTED = "lifted"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    CORRECTED = "corrected"
    ERASED = "erased"


class NoticeVersion(models.Model):
    """The exact words somebody agreed to. Never edited: a change is a new version."""

    sender_group = models.ForeignKey(SenderGroup, on_delete=models.PROTECT, null=True, blank=True)
    key = models.CharField(max_length=60)
    version = models.PositiveIntegerField()
    language = models.CharField(max_length=10, default="en")
    text = models.TextField()
    sha256 = models.CharField(max_length=64)
    valid_from = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sender_group", "key", "version", "language"],
                name="notice_version_once",
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return f"{self.key} v{self.version} {self.language}"


class ConsentEvidence(models.Model):
    """The deletable proof beside a ledger row: raw words, IP, form, scan."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    detail = EncryptedJSONField(default=dict)
    scan = EncryptedBinaryField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delete_after = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return str(self.id)


class ConsentEvent(models.Model):
    """One row of the ledger. Append-only; holds no direct identifier."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    #: order of insertion; with the hash chain it shows a missing row
    sequence = models.BigIntegerField(unique=True, editable=False)
    sender_group = models.ForeignKey(SenderGroup, on_delete=models.PROTECT)
    subject_ref = models.UUIDField(null=True, blank=True)
    address_hash = models.CharField(max_length=64)
    pepper_version = models.PositiveSmallIntegerField(default=1)
    generation = models.PositiveIntegerField(default=1)
    channel = models.CharField(max_length=20)
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    action = models.CharField(max_length=12, choices=ConsentAction.choices)
    #: "order:<uuid>", "category", "channel" or "all"
    scope = models.CharField(max_length=60, default="category")
    lawful_basis = models.CharField(max_length=24, default="consent")
    reason = models.CharField(max_length=20, default="user")
    source = models.CharField(max_length=24)
    notice_version = models.ForeignKey(
        NoticeVersion, null=True, blank=True, on_delete=models.PROTECT
    )
    language = models.CharField(max_length=10, blank=True)
    jurisdiction = models.CharField(max_length=10, blank=True)
    policy_version = models.CharField(max_length=40, blank=True)
    actor_type = models.CharField(max_length=20, default="customer")
    actor_id = models.CharField(max_length=80, blank=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)
    idempotency_key = models.CharField(max_length=200, unique=True)
    # no database constraint: evidence is deletable, the ledger row is not, and stays true
    evidence = models.ForeignKey(
        ConsentEvidence,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
    )
    supersedes = models.UUIDField(null=True, blank=True)
    prev_hash = models.CharField(max_length=64)
    row_hash = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["sender_group", "address_hash", "sequence"], name="ledger_chain"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.purpose} {self.channel}"


class ConsentState(models.Model):
    """Derived: what the ledger says about one address, channel and purpose."""

    sender_group = models.ForeignKey(SenderGroup, on_delete=models.CASCADE)
    address_hash = models.CharField(max_length=64)
    generation = models.PositiveIntegerField(default=1)
    channel = models.CharField(max_length=20)
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    #: granted | denied | withdrawn | pending | expired
    state = models.CharField(max_length=12)
    #: a customer's own no: only the customer lifts it
    is_customer_refusal = models.BooleanField(default=False)
    #: "" | pending: the carrier still blocks what the person granted again
    carrier_block = models.CharField(max_length=10, blank=True)
    event_id = models.UUIDField()
    since = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sender_group", "address_hash", "generation", "channel", "purpose"],
                name="one_consent_state",
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.purpose}: {self.state}"


class Suppression(models.Model):
    """Derived: nothing of this scope may go to this address."""

    sender_group = models.ForeignKey(SenderGroup, on_delete=models.CASCADE)
    channel = models.CharField(max_length=20)
    address_hash = models.CharField(max_length=64)
    generation = models.PositiveIntegerField(default=1)
    #: "channel", "all", "category:<purpose>" or "order:<uuid>"
    scope = models.CharField(max_length=60, default="channel")
    reason = models.CharField(max_length=20)
    event_id = models.UUIDField()
    since = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sender_group", "channel", "address_hash", "generation", "scope"],
                name="one_suppression",
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.scope}: {self.reason}"


class LedgerCheckpoint(models.Model):
    """Every chain's head at one moment, signed: a row changed or missing later shows."""

    made_at = models.DateTimeField(unique=True)
    #: how many chains, and the highest sequence there was
    chains = models.PositiveBigIntegerField()
    last_sequence = models.BigIntegerField()
    #: SHA-256 over the sorted heads
    heads_hash = models.CharField(max_length=64)
    #: signature of the checkpoint before this one: checkpoints form a chain themselves
    previous = models.CharField(max_length=64, blank=True)
    #: HMAC-SHA256 over all of the above, with the key of ``key_version``
    signature = models.CharField(max_length=64)
    key_version = models.PositiveSmallIntegerField(default=1)

    def __str__(self) -> str:
        return f"{self.made_at:%Y-%m-%d %H:%M} {self.chains} chains"


class CheckpointHead(models.Model):
    """The end of one chain that grew between two checkpoints."""

    checkpoint = models.ForeignKey(LedgerCheckpoint, on_delete=models.PROTECT, related_name="heads")
    sender_group_ref = models.BigIntegerField()
    #: what the first row of the chain names as its predecessor; holds no address hash
    chain = models.CharField(max_length=64)
    sequence = models.BigIntegerField(unique=True)
    row_hash = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["chain"], name="heads_by_chain")]

    def __str__(self) -> str:
        return f"{self.chain[:12]} row {self.sequence}"


class RemovedChain(models.Model):
    """What is left of a chain whose term is over: that it was there, and its last hash.

    Only the transaction that writes this row may delete the rows it stands for; a database
    trigger sees to that (migration 0010).
    """

    sender_group_ref = models.BigIntegerField()
    chain = models.CharField(max_length=64)
    rows = models.PositiveIntegerField()
    last_sequence = models.BigIntegerField(unique=True)
    head_hash = models.CharField(max_length=64)
    #: every row was recorded before then
    older_than = models.DateTimeField()
    removed_at = models.DateTimeField()
    signature = models.CharField(max_length=64)
    key_version = models.PositiveSmallIntegerField(default=1)
    #: the transaction that wrote this; the database fills it in
    transaction = models.BigIntegerField(default=0, editable=False)

    class Meta:
        indexes = [models.Index(fields=["chain"], name="removed_by_chain")]

    def __str__(self) -> str:
        return f"{self.chain[:12]}: {self.rows} rows"
