"""Configured credentials at a provider."""

from __future__ import annotations

from django.db import models

from consents.encryption import EncryptedJSONField
from integrations import registry
from orders.models.source import AccountMode, new_token


def provider_choices() -> list[tuple[str, str]]:
    """Callable, so that a new provider makes no migration."""
    return [(key, key.replace("_", " ").title()) for key in sorted(registry.PROVIDERS)]


class ProviderAccount(models.Model):
    """One credential set at one provider for one restaurant."""

    restaurant = models.ForeignKey(
        "orders.Restaurant", on_delete=models.CASCADE, related_name="provider_accounts"
    )
    provider = models.CharField(max_length=40, choices=provider_choices)
    #: the provider's channel, copied so that planning can filter
    channel = models.CharField(max_length=20, editable=False)
    name = models.CharField(max_length=80)
    #: last part of the URLs the vendor calls
    token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    mode = models.CharField(max_length=8, choices=AccountMode.choices, default=AccountMode.SANDBOX)
    enabled = models.BooleanField(default=True)
    settings = EncryptedJSONField(default=dict)
    #: lowest goes first inside a channel; the next one is the failover
    priority = models.PositiveSmallIntegerField(default=10)
    #: requests per second; null = what the provider declares
    rate_per_s = models.FloatField(null=True, blank=True)
    # rate budget shared by all workers: tokens left at budget_at
    budget_tokens = models.FloatField(default=0)
    budget_at = models.DateTimeField(null=True, blank=True)
    # circuit breaker
    failures_in_row = models.PositiveIntegerField(default=0)
    open_until = models.DateTimeField(null=True, blank=True)
    #: why the account was stopped (a configuration error); "" = working
    stopped_reason = models.CharField(max_length=300, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    last_accepted_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    last_error_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["priority", "id"]

    def __str__(self) -> str:
        return self.name


class StreamPosition(models.Model):
    """How far an account's stream of events was read: losing it loses what is behind it."""

    account = models.OneToOneField(
        ProviderAccount, on_delete=models.CASCADE, related_name="stream_position"
    )
    #: the vendor's own words for the place
    offset = models.CharField(max_length=60)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.offset
