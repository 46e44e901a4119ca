"""Which order events tell whom, on which channel, in which words."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Audience(models.TextChoices):
    CUSTOMER = "customer"
    STAFF = "staff"
    PARTNER = "partner"


class Route(models.Model):
    """Event kinds x audience x conditions -> ordered steps.

    ``triggers``: list of "kind" or "kind:milestone" ("status_changed:ready").
    ``conditions``: {"locations": [id], "fulfillment": [..], "sources": [..], "min_late_min": n,
    "held": true}; absent = any.
    ``steps``: list of {"channel": "sms", "account": id or null, "template": key or "",
    "when": "now" | "if_not_delivered" | "if_not_acknowledged", "after_s": n}.
    """

    restaurant = models.ForeignKey(
        "orders.Restaurant", on_delete=models.CASCADE, related_name="routes"
    )
    name = models.CharField(max_length=120)
    audience = models.CharField(max_length=10, choices=Audience.choices)
    triggers = models.JSONField(default=list)
    conditions = models.JSONField(default=dict, blank=True)
    steps = models.JSONField(default=list)
    purpose = models.CharField(max_length=20, default="order_updates")
    #: skips preference, default and quiet hours; never the law or a suppression
    critical = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    #: lowest first; for one audience the first matching route decides
    priority = models.PositiveSmallIntegerField(default=10)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["priority", "id"]

    def __str__(self) -> str:
        return self.name


class MessageTemplate(models.Model):
    """The text for one trigger x audience x channel x language, optionally of one location.

    ``channel`` "" = any channel that has no template of its own. The current words are the
    newest version.
    """

    restaurant = models.ForeignKey(
        "orders.Restaurant", on_delete=models.CASCADE, related_name="message_templates"
    )
    location = models.ForeignKey("orders.Location", null=True, blank=True, on_delete=models.CASCADE)
    #: a trigger as in Route.triggers
    trigger = models.CharField(max_length=60)
    audience = models.CharField(max_length=10, choices=Audience.choices)
    channel = models.CharField(max_length=20, blank=True)
    language = models.CharField(max_length=10, default="en")
    purpose = models.CharField(max_length=20, default="order_updates")
    #: vendor-side template name, where a vendor demands one
    vendor_template = models.CharField(max_length=120, blank=True)
    enabled = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "location", "trigger", "audience", "channel", "language"],
                name="one_template",
                nulls_distinct=False,
            )
        ]
        ordering = ["trigger", "audience", "channel", "language"]

    def __str__(self) -> str:
        words = [self.trigger, self.audience, self.channel or "any channel", self.language]
        return " · ".join(words)


class MessageTemplateVersion(models.Model):
    """One saved wording. Never edited, so an old message can always be shown as it was."""

    template = models.ForeignKey(MessageTemplate, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    subject = models.CharField(max_length=300, blank=True)
    text = models.TextField()
    html = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["template", "number"], name="one_version_number")
        ]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"v{self.number}"
