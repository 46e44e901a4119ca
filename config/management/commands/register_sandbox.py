"""manage.py register_sandbox: tell a separately running sandbox about the sandbox accounts."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import demo
from notifications.models import ProviderAccount
from notifications.services import register_with_sandbox


class Command(BaseCommand):
    help = "Register every sandbox account with the sandbox at SANDBOX_URL."

    def handle(self, *args: Any, **options: Any) -> None:
        accounts = list(ProviderAccount.objects.filter(mode="sandbox", enabled=True))
        taken = register_with_sandbox(accounts)
        if accounts and not taken:
            raise CommandError(
                "The sandbox does not answer. Start it: python -m integrations.sandbox"
            )
        demo.register_sources()
        print(f"{taken} of {len(accounts)} provider accounts registered.")
