"""Who may be told, and where: people, their addresses, whose name a message carries."""

from __future__ import annotations

import uuid

from django.db import models

from consents.encryption import EncryptedTextField


class SubjectKind(models.TextChoices):
    CUSTOMER = "customer"
    STAFF = "staff"
    PARTNER = "partner"


class AddressOrigin(models.TextChoices):
    CUSTOMER = "customer"
    POS = "pos"
    MARKETPLACE_RELAY = "marketplace_relay"
    STAFF = "staff"


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
    #: staff in a role that must be filled (shift lead): a manager is warned while they hear nothing
    must_be_reached = models.BooleanField(default=False)
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
