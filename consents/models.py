"""Who may be told, how: subjects, addresses, the append-only ledger and what is derived from it.

The ledger (``ConsentEvent``) is guarded by database triggers (migration 0002): UPDATE, DELETE and
TRUNCATE fail, whoever asks. State and suppressions are derived and rebuildable.
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from consents.encryption import EncryptedJSONField, EncryptedTextField


class SubjectKind(models.TextChoices):
    CUSTOMER = "customer"
    STAFF = "staff"
    PARTNER = "partner"


class AddressOrigin(models.TextChoices):
    CUSTOMER = "customer"
    POS = "pos"
    MARKETPLACE_RELAY = "marketplace_relay"
    STAFF = "staff"


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


class SenderGroup(models.Model):
    """The legal seller whose name a message carries; consents are given to it and to no other."""

    name = models.CharField(max_length=120)
    #: ISO 3166-1 alpha-2 of the seller; one of the plausible jurisdictions of a message
    country = models.CharField(max_length=2, default="US")
    #: shown in HELP and opt-out confirmations
    phone = models.CharField(max_length=32, blank=True)
    postal_address = models.CharField(max_length=300, blank=True)
    privacy_url = models.URLField(blank=True)
    #: "channel": any STOP mutes the whole channel; "purpose" only where numbers are separate
    stop_scope = models.CharField(max_length=20, default="channel")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Subject(models.Model):
    """A person or organisation that may be told something. Deletable; the ledger is not."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sender_group = models.ForeignKey(SenderGroup, on_delete=models.CASCADE)
    kind = models.CharField(
        max_length=10, choices=SubjectKind.choices, default=SubjectKind.CUSTOMER
    )
    name = EncryptedTextField(default="", blank=True)
    locale = models.CharField(max_length=35, blank=True)
    #: IANA name the person chose; "" = not said
    timezone = models.CharField(max_length=64, blank=True)
    #: do-not-disturb in the person's local wall time; both or neither
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    restricted_at = models.DateTimeField(null=True, blank=True)
    legal_hold = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    addresses: models.ManyToManyField[ContactAddress, SubjectAddress] = models.ManyToManyField(
        "ContactAddress", through="SubjectAddress", related_name="subjects"
    )

    def __str__(self) -> str:
        return f"{self.kind} {str(self.id)[:8]}"


class ContactAddress(models.Model):
    """One phone number, mailbox, device token or chat id, for one channel of one sender group."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sender_group = models.ForeignKey(SenderGroup, on_delete=models.CASCADE)
    #: a contracts.Channel value
    channel = models.CharField(max_length=20)
    value = EncryptedTextField()
    #: what people may see, e.g. +1•••0142
    masked = models.CharField(max_length=80)
    address_hash = models.CharField(max_length=64)
    pepper_version = models.PositiveSmallIntegerField(default=1)
    #: goes up when a number changed hands; consents of older generations do not apply
    generation = models.PositiveIntegerField(default=1)
    #: ISO region of the number ("" for other kinds)
    region = models.CharField(max_length=2, blank=True)
    origin = models.CharField(max_length=20, choices=AddressOrigin.choices)
    verified_at = models.DateTimeField(null=True, blank=True)
    verified_by = models.CharField(max_length=40, blank=True)
    #: relay addresses end with their order
    expires_at = models.DateTimeField(null=True, blank=True)
    #: the vendor said nobody is there (dead token, unknown subscriber); not a consent matter
    unreachable_at = models.DateTimeField(null=True, blank=True)
    #: token of the one provider account that knows this address (a bot's chat, a page's guest,
    #: an app's device); "" = any account of the channel reaches it
    bound_to = models.CharField(max_length=64, blank=True)
    #: a conversation window of chat apps closes then
    window_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sender_group", "channel", "address_hash", "generation"],
                name="one_address_per_generation",
            )
        ]
        verbose_name_plural = "contact addresses"

    def __str__(self) -> str:
        return f"{self.channel} {self.masked}"


class SubjectAddress(models.Model):
    """A subject has many addresses; an address may serve many subjects (a shared phone)."""

    subject = models.ForeignKey(Subject, on_delete=models.CASCADE)
    address = models.ForeignKey(ContactAddress, on_delete=models.CASCADE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "address"], name="subject_address_once")
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} - {self.address_id}"


class AddressAlias(models.Model):
    """Another id a vendor has for whoever is behind an address, by which alone it may name them."""

    sender_group = models.ForeignKey(SenderGroup, on_delete=models.CASCADE)
    channel = models.CharField(max_length=20)
    alias_hash = models.CharField(max_length=64)
    address = models.ForeignKey(ContactAddress, on_delete=models.CASCADE, related_name="aliases")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sender_group", "channel", "alias_hash"], name="one_address_per_alias"
            )
        ]
        verbose_name_plural = "address aliases"

    def __str__(self) -> str:
        return f"{self.channel} {self.alias_hash[:10]}"


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
    scan = models.BinaryField(null=True, blank=True)
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
    order_ref = models.UUIDField(null=True, blank=True)
    received_at = models.DateTimeField()
    #: marketing is held until somebody classified it
    holds_marketing = models.BooleanField(default=False)
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return f"{self.topic} on {self.channel}"
