"""manage.py show_request: the exact request a provider would send, secrets masked."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.errors import ConfigurationError, IntegrationError
from integrations.registry import PROVIDERS
from notifications import examples, showing
from notifications.compose import NoWords
from notifications.rendering import TemplateInvalid
from orders.models import Order


class Command(BaseCommand):
    help = (
        "Print the exact request (method, url, headers with secrets masked, body) for one event, "
        "as JSON. Nothing is sent. Event kinds: "
        + ", ".join(examples.KINDS)
        + "; with a milestone as in status_changed:delivered."
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("provider", metavar="PROVIDER", choices=sorted(PROVIDERS))
        parser.add_argument("event_kind", metavar="EVENT_KIND")
        parser.add_argument(
            "--order",
            metavar="ID",
            help="public id or number of an order; without it the documented sample order",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        key = options["provider"]
        try:
            kind, milestone = examples.trigger(options["event_kind"])
        except KeyError:
            known = ", ".join(examples.KINDS)
            raise CommandError(
                f"unknown event kind '{options['event_kind']}'; known: {known}"
            ) from None
        try:
            if options["order"]:
                made = showing.request_for_order(key, kind, milestone, _order(options["order"]))
            else:
                made = showing.request_for_sample(key, kind, milestone)
        except (NoWords, TemplateInvalid, IntegrationError, ConfigurationError) as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(json.dumps(made, indent=2, ensure_ascii=False))


def _order(wanted: str) -> Order:
    orders = Order.objects.select_related("subject")
    try:
        found = orders.filter(public_id=wanted).first()
    except (ValidationError, ValueError):
        found = orders.filter(display=wanted.lstrip("#")).order_by("-created_at").first()
    if found is None:
        raise CommandError(f"no order '{wanted}'")
    return found
