"""manage.py airship_associate: tie a device to a person at Airship, or untie it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.errors import ConfigurationError, IntegrationError
from integrations.http import http_door, run
from integrations.providers.airship import DEVICE_TYPES, Airship
from notifications.selectors import account_by_id, provider_for


class Command(BaseCommand):
    help = (
        "Tie a channel (one install of the app) to a named user at Airship, for apps that do not "
        "do it themselves. Web channels have no device type."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("named_user", metavar="NAMED_USER")
        parser.add_argument("channel", metavar="CHANNEL", help="the channel's uuid")
        parser.add_argument("--account", metavar="ID", type=int, required=True)
        parser.add_argument("--device-type", choices=[k for k in DEVICE_TYPES if k != "web"])
        parser.add_argument("--undo", action="store_true", help="untie it")

    def handle(self, *args: Any, **options: Any) -> None:
        account = account_by_id(options["account"])
        if account is None or account.provider != Airship.key:
            raise CommandError(f"account {options['account']} is no enabled Airship account")
        try:
            provider = provider_for(account)
            assert isinstance(provider, Airship)
            request = provider.association_request(
                options["named_user"],
                options["channel"],
                options["device_type"] or "",
                is_undone=options["undo"],
            )
            provider.raise_for_status(run(provider.exchange(request, http_door())))
        except (IntegrationError, ConfigurationError) as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write("untied" if options["undo"] else "tied")
