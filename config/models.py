"""The books about the settings: every change of what managers set up, written by the database.

Triggers keep them, so bulk updates and raw SQL are recorded too. Nothing secret is copied: of the
encrypted settings of an account the books only say that they changed. What vendors and workers
write into the same tables (counters, circuit breakers, last calls) fires no trigger.

The models below are proxies, so that the triggers are declared and migrated here and the tables
they watch know nothing of it.
"""

from __future__ import annotations

from typing import Any

import pghistory
import pgtrigger

from consents.models import PolicyPack, SenderGroup
from notifications.models import (
    MessageTemplate,
    MessageTemplateVersion,
    ProviderAccount,
    Route,
)
from orders.models import Location, Restaurant, SourceAccount

#: label of the row that says that encrypted settings changed; their values are in no column
SECRETS_CHANGED = "secrets"


def _changes() -> tuple[Any, ...]:
    return (pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())


def _account_changes() -> tuple[Any, ...]:
    secrets = pghistory.UpdateEvent(SECRETS_CHANGED, condition=pgtrigger.AnyChange("settings"))
    return (*_changes(), secrets)


@pghistory.track(*_changes(), exclude=["created_at"], model_name="RestaurantChange")
class WatchedRestaurant(Restaurant):
    class Meta:
        proxy = True


@pghistory.track(*_changes(), model_name="LocationChange")
class WatchedLocation(Location):
    class Meta:
        proxy = True


@pghistory.track(*_changes(), exclude=["created_at"], model_name="SenderGroupChange")
class WatchedSenderGroup(SenderGroup):
    class Meta:
        proxy = True


@pghistory.track(*_changes(), model_name="PolicyPackChange")
class WatchedPolicyPack(PolicyPack):
    class Meta:
        proxy = True


@pghistory.track(
    *_account_changes(),
    fields=[
        *("id", "restaurant", "location", "source", "name", "mode", "enabled", "priority"),
        *("told_by_source", "status_map", "status_map_version"),
    ],
    model_name="SourceAccountChange",
)
class WatchedSourceAccount(SourceAccount):
    class Meta:
        proxy = True


@pghistory.track(
    *_account_changes(),
    fields=[
        *("id", "restaurant", "provider", "channel", "name", "mode", "enabled", "priority"),
        "rate_per_s",
    ],
    model_name="ProviderAccountChange",
)
class WatchedProviderAccount(ProviderAccount):
    class Meta:
        proxy = True


@pghistory.track(*_changes(), exclude=["updated_at"], model_name="RouteChange")
class WatchedRoute(Route):
    class Meta:
        proxy = True


@pghistory.track(*_changes(), model_name="MessageTemplateChange")
class WatchedMessageTemplate(MessageTemplate):
    class Meta:
        proxy = True


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.DeleteEvent(),
    fields=["id", "template", "number", "subject", "text", "html"],
    model_name="MessageTemplateVersionChange",
)
class WatchedMessageTemplateVersion(MessageTemplateVersion):
    class Meta:
        proxy = True
