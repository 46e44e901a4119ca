"""manage.py demo_info: what a stranger needs to post an order update with curl."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import demo
from orders.models import Restaurant


class Command(BaseCommand):
    help = "Print URLs, login, API key and signing secrets of the demo restaurant as JSON."

    def handle(self, *args: Any, **options: Any) -> None:
        if not Restaurant.objects.filter(is_demo=True).exists():
            raise CommandError("There is no demo restaurant. Run 'make run' once, with DEMO=1.")
        print(json.dumps(demo.info(), indent=2))
