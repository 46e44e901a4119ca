"""Lists of who wants nothing, kept by vendors: what we told them, and how far we read them."""

from __future__ import annotations

from django.db import models

from notifications.models.account import ProviderAccount


class PushState(models.TextChoices):
    """Codes never change."""

    WAITING = "waiting"  # to be told, or told again after ``next_at``
    TOLD = "told"
    NOTHING = "nothing"  # this vendor has no list for such a choice
    OVERTAKEN = "overtaken"  # the person chose otherwise before it was told
    REFUSED = "refused"  # the vendor will not take it, or never answered


class VendorListPush(models.Model):
    """One choice of a person, to be told to one account whose vendor keeps a list."""

    account = models.ForeignKey(
        ProviderAccount, on_delete=models.CASCADE, related_name="list_pushes"
    )
    #: the row of the consent ledger
    event_ref = models.UUIDField()
    address = models.ForeignKey(
        "consents.ContactAddress", on_delete=models.CASCADE, related_name="list_pushes"
    )
    #: "" = everything on the channel
    purpose = models.CharField(max_length=20, blank=True)
    is_stopped = models.BooleanField()
    occurred_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=PushState.choices, default=PushState.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()
    last_error = models.CharField(max_length=300, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "event_ref"], name="one_push_per_choice")
        ]
        indexes = [
            models.Index(
                fields=["next_at"],
                condition=models.Q(state="waiting"),
                name="pushes_waiting",
            )
        ]
        verbose_name_plural = "vendor list pushes"

    def __str__(self) -> str:
        return f"{'stop' if self.is_stopped else 'grant'} {self.purpose or 'everything'}"


class VendorListPosition(models.Model):
    """How far the list of one account was read."""

    account = models.OneToOneField(
        ProviderAccount, on_delete=models.CASCADE, related_name="list_position"
    )
    #: what was on the list before then is in the ledger
    since = models.DateTimeField()
    #: where a reading broke off, in the vendor's words; "" = between two readings
    page = models.CharField(max_length=1000, blank=True)
    #: when the reading under way began
    began_at = models.DateTimeField(null=True, blank=True)
    #: when the next one is due
    next_at = models.DateTimeField()
    #: of the reading under way, or the last one: stops written down, addresses nobody here has
    recorded = models.PositiveIntegerField(default=0)
    unknown = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"list of {self.account_id}"
