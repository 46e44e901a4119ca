"""What managers do with the sources of their orders: save an account, look at its settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db import transaction

from integrations import registry
from integrations.contracts import Setting
from orders.models import SourceAccount
from orders.selectors import clear_caches
from orders.try_out import register_with_sandbox


def merge_settings(
    declared: Iterable[Setting], stored: Mapping[str, str], typed: Mapping[str, str]
) -> dict[str, str]:
    """``stored`` with what somebody typed: an empty secret keeps its value, others their default.

    Names a newer version no longer declares are kept: going back must find them.
    """
    merged = dict(stored)
    for setting in declared:
        value = typed.get(setting.name, "").strip()
        if value:
            merged[setting.name] = value
        elif not setting.secret:
            merged[setting.name] = setting.default
    return merged


def missing_settings(declared: Iterable[Setting], values: Mapping[str, str]) -> list[Setting]:
    """The required settings that have no value."""
    return [one for one in declared if one.required and not values.get(one.name)]


#: what the form of an account sets; intake, polls and status maps write the other columns meanwhile
_TYPED = ("location", "name", "mode", "enabled", "settings", "told_by_source", "priority")


@transaction.atomic
def save_source_account(*, account: SourceAccount, values: Mapping[str, str]) -> SourceAccount:
    """Save an account with its declared settings; every process sees it within two seconds.

    A sandbox account is made known to the sandbox as well.
    """
    declared = registry.source_class(account.source).settings
    stored = account.settings or {}
    account.settings = merge_settings(declared, stored, values)
    account.poll_due_at = None  # one that was mended is asked at once
    if account._state.adding:
        account.save()
    else:
        # encrypted anew, settings would look changed to the books (config/models.py)
        same = {"settings"} if account.settings == stored else set()
        account.save(update_fields={*_TYPED, "poll_due_at"} - same)
    transaction.on_commit(clear_caches)
    transaction.on_commit(lambda: register_with_sandbox([account]))
    return account
