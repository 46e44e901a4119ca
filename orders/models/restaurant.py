"""The restaurant, its locations, who manages it and which integrations may call us."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models


class Restaurant(models.Model):
    """One brand with one legal seller. Managers see only theirs."""

    name = models.CharField(max_length=120)
    slug = models.SlugField(unique=True)
    sender_group = models.ForeignKey("consents.SenderGroup", on_delete=models.PROTECT)
    country = models.CharField(max_length=2, default="US")
    timezone = models.CharField(max_length=64, default="America/New_York")
    language = models.CharField(max_length=10, default="en")
    phone = models.CharField(max_length=32, blank=True)
    #: the brand's accent on customer pages, checked for contrast when saved; "" = ours
    accent = models.CharField(max_length=7, blank=True)
    is_demo = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Location(models.Model):
    """One kitchen. The figures of the delay rules are per location."""

    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE, related_name="locations")
    name = models.CharField(max_length=120)
    #: the location id the sources use; several when they disagree
    external_ids = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    #: IANA name; "" = the restaurant's
    timezone = models.CharField(max_length=64, blank=True)
    #: smallest slip of a kitchen estimate that counts, minutes
    kitchen_floor_min = models.PositiveSmallIntegerField(default=5)
    #: smallest slip of a courier estimate that counts, minutes
    courier_floor_min = models.PositiveSmallIntegerField(default=10)
    #: largest threshold, minutes
    threshold_cap_min = models.PositiveSmallIntegerField(default=20)
    #: an order is overdue this long after its time, minutes
    grace_min = models.PositiveSmallIntegerField(default=5)
    #: a state that lasts longer is stalled, minutes
    stalled_min = models.PositiveSmallIntegerField(default=45)
    #: busy kitchen: added to every open estimate until busy_until
    busy_extra_min = models.PositiveSmallIntegerField(default=0)
    busy_until = models.DateTimeField(null=True, blank=True)
    #: own drivers: "delivered" needs no courier leg
    has_own_drivers = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A manager's restaurant."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE, related_name="members")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "restaurant"], name="one_membership")
        ]

    def __str__(self) -> str:
        return f"{self.user} at {self.restaurant}"


class ApiKey(models.Model):
    """A key of one integration. Only its SHA-256 is kept; the prefix names it in lists."""

    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)
    key_hash = models.CharField(max_length=64, unique=True)
    #: e.g. orders:write, orders:read, notifications:read, consents:write
    scopes = ArrayField(models.CharField(max_length=40), default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class IdempotentCall(models.Model):
    """The stored answer of a write that carried an Idempotency-Key; kept 24 hours."""

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    response = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["api_key", "key"], name="one_idempotent_call")
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.status}"
