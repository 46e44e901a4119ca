"""Whether vendors can reach the address we give them: asked by ``check`` and ``migrate``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connection

from notifications.models import ProviderAccount
from orders.models import SourceAccount
from orders.public_url import why_unreachable

_WORDS = {
    "inside": "PUBLIC_URL is {url}, which nobody outside reaches, and {names} {are} live: set it "
    "to the address vendors call",
    "plain": "PUBLIC_URL is {url} and {names} {are} live: most vendors call https:// only",
}
#: named in a warning
_MOST = 3


@register(Tags.database)
def check_public_url(*, databases: Collection[str] | None = None, **_: Any) -> list[CheckMessage]:
    """A live account at an address its vendor cannot call. Silent until the tables are there."""
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    wanted = {SourceAccount._meta.db_table, ProviderAccount._meta.db_table}
    if not wanted <= set(connection.introspection.table_names()):
        return []
    return [Warning(text, id="order_up.W001") for text in address_problems()]


def address_problems() -> list[str]:
    """What is wrong with PUBLIC_URL, given the accounts that are live. 2 queries at most."""
    words = _WORDS.get(why_unreachable(settings.PUBLIC_URL))
    if words is None:
        return []
    names = [
        name
        for model in (SourceAccount, ProviderAccount)
        for name in model._default_manager.filter(mode="live", enabled=True)
        .order_by("pk")
        .values_list("name", flat=True)[: _MOST + 1]
    ]
    if not names:
        return []
    shown = ", ".join(f"“{name}”" for name in names[:_MOST])
    if len(names) > _MOST:
        shown += " and others"
    are = "is" if len(names) == 1 else "are"
    return [words.format(url=settings.PUBLIC_URL, names=shown, are=are)]
