"""Links and questions of the portal: each is for one address, and ends."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from consents.encryption import EncryptedJSONField, EncryptedTextField
from consents.models.ledger import NoticeVersion
from consents.models.people import ContactAddress, SenderGroup


class LinkRequest(models.Model):
    """Somebody typed an address on a public page. Answered and deleted within seconds.

    It is stored whether we know the address or not, so that the page can answer at once and in the
    same time: who looks at it learns nothing about who is a customer.
    """

    class Kind(models.TextChoices):
        MANAGE = "manage"
        OPT_IN = "opt_in"

    kind = models.CharField(max_length=8, choices=Kind.choices)
    sender_group = models.ForeignKey(SenderGroup, on_delete=models.CASCADE)
    #: primary key of the restaurant whose page it was; its accounts send the answer
    restaurant_ref = models.BigIntegerField()
    #: sms or email
    channel = models.CharField(max_length=20)
    #: normalised
    value = EncryptedTextField()
    language = models.CharField(max_length=10)
    #: opt_in: the wording that was shown, and the proof that it was agreed to
    notice_version = models.ForeignKey(NoticeVersion, null=True, on_delete=models.PROTECT)
    evidence = EncryptedJSONField(default=dict)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} {self.channel}"


class ManageLink(models.Model):
    """A link sent to an address that asked for it: opens the preferences of that address, once.

    Only the SHA-256 of its token is stored. GET shows a button, POST uses it up.
    """

    token_hash = models.CharField(max_length=64, unique=True)
    address = models.ForeignKey(ContactAddress, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"link of address {self.address_id}"


class OptIn(models.Model):
    """A double opt-in: asked at an address, granted only when the link sent there is confirmed."""

    token_hash = models.CharField(max_length=64, unique=True)
    address = models.ForeignKey(ContactAddress, on_delete=models.CASCADE, related_name="+")
    subject_ref = models.UUIDField(null=True, blank=True)
    purposes = ArrayField(models.CharField(max_length=20))
    notice_version = models.ForeignKey(NoticeVersion, null=True, on_delete=models.PROTECT)
    language = models.CharField(max_length=10, blank=True)
    #: primary key of the restaurant that asks; its accounts send what is sent
    restaurant_ref = models.BigIntegerField(null=True)
    #: where it was asked: portal, checkout, staff, pos_import, api
    source = models.CharField(max_length=24)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    reminded_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{', '.join(self.purposes)} at address {self.address_id}"


class RateCount(models.Model):
    """How often something was asked for within a window. Keys are hashes, never addresses."""

    key = models.CharField(max_length=64)
    window_from = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "window_from"], name="one_count_per_window")
        ]

    def __str__(self) -> str:
        return f"{self.count} since {self.window_from:%H:%M}"
