"""What managers do with the sources of their orders: save an account, look at its settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db import transaction

from integrations import registry
from integrations.contracts import Setting
from orders.models import SourceAccount
from orders.selectors import clear_caches


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


@transaction.atomic
def save_source_account(*, account: SourceAccount, values: Mapping[str, str]) -> SourceAccount:
    """Save an account with its declared settings; every process sees it within two seconds."""
    declared = registry.source_class(account.source).settings
    account.settings = merge_settings(declared, account.settings or {}, values)
    account.save()
    transaction.on_commit(clear_caches)
    return account
