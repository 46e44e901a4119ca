"""manage.py connect: one account at a provider, its credentials taken from the environment once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations import registry
from integrations.contracts import Setting
from integrations.errors import ConfigurationError, IntegrationError
from notifications.models import ProviderAccount
from notifications.selectors import webhook_url
from notifications.services import save_account, set_up_gaps, test_account
from orders.models import Restaurant
from orders.models.source import AccountMode


class Command(BaseCommand):
    help = (
        "Store an account at a provider (encrypted). Settings are read from PROVIDER_SETTING, e.g. "
        "TWILIO_AUTH_TOKEN, or from the file PROVIDER_SETTING_FILE names. The same name again "
        "updates the account. Without --from-env it lists the variables and stores nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("provider", metavar="PROVIDER", choices=sorted(registry.PROVIDERS))
        parser.add_argument("--from-env", action="store_true", help="read the settings and store")
        parser.add_argument("--restaurant", metavar="SLUG", help="needed where there are several")
        parser.add_argument("--name", help="default: the provider's title")
        parser.add_argument("--sandbox", action="store_true", help="lead it to the sandbox")
        parser.add_argument("--priority", type=int, help="the lowest of a channel goes first")
        parser.add_argument("--test", metavar="ADDRESS", help="send a test message there")

    def handle(self, *args: Any, **options: Any) -> None:
        key = options["provider"]
        if not options["from_env"]:
            self.stdout.write(_list_of(key))
            return
        restaurant = _restaurant(options["restaurant"])
        name = options["name"] or registry.provider_class(key).title or key
        found = ProviderAccount.objects.filter(restaurant=restaurant, provider=key, name=name)
        account = found.first() or ProviderAccount(restaurant=restaurant, provider=key, name=name)
        account.mode = AccountMode.SANDBOX if options["sandbox"] else AccountMode.LIVE
        if options["priority"] is not None:
            account.priority = options["priority"]
        is_new = account.pk is None
        try:
            save_account(account=account, values=_values(key))
        except ConfigurationError as problem:
            raise CommandError(f"{problem.detail}. Nothing was stored.\n{_list_of(key)}") from None
        verb = "connected" if is_new else "updated"
        self.stdout.write(f"{name} {verb} for {restaurant.name} ({account.mode}).")
        capabilities = registry.provider_class(key).capabilities
        if capabilities.receipts or capabilities.replies:
            self.stdout.write(f"Webhook URL for the vendor: {webhook_url(account.token)}")
        if options["test"] is not None:
            self._test(account, options["test"])

    def _test(self, account: ProviderAccount, to: str) -> None:
        try:
            accepted = test_account(account=account, to=to)
        except (IntegrationError, ConfigurationError) as problem:
            why = [f"stored, but the test failed: {problem}", *set_up_gaps(account)]
            raise CommandError("\n".join(why)) from None
        self.stdout.write(f"The test was accepted. {accepted.vendor_id}".strip())
        for gap in set_up_gaps(account):
            self.stdout.write(f"But: {gap}")


def _restaurant(slug: str | None) -> Restaurant:
    restaurants = Restaurant.objects.filter(slug=slug) if slug else Restaurant.objects.all()
    found = list(restaurants[:2])
    if len(found) != 1:
        known = ", ".join(Restaurant.objects.order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(f"name one restaurant with --restaurant SLUG; known: {known or 'none'}")
    return found[0]


def _variable(key: str, setting: Setting) -> str:
    return f"{key}_{setting.name}".upper()


def _values(key: str) -> dict[str, str]:
    values = {}
    for setting in registry.provider_class(key).settings:
        variable = _variable(key, setting)
        path = os.environ.get(f"{variable}_FILE")
        try:
            value = Path(path).read_text() if path else os.environ.get(variable, "")
        except OSError as problem:
            raise CommandError(f"{variable}_FILE: {problem.strerror}") from None
        if value.strip():
            values[setting.name] = value.strip()
    return values


def _list_of(key: str) -> str:
    lines = [f"Variables for {key}; any NAME may come from a file: NAME_FILE=/run/secrets/name"]
    for setting in registry.provider_class(key).settings:
        needed = "needed" if setting.required and not setting.default else "optional"
        about = f"{setting.label or setting.name}{': ' if setting.help else ''}{setting.help}"
        lines.append(f"  {_variable(key, setting):40} {needed:9} {about}")
    return "\n".join(lines)
