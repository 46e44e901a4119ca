"""manage.py demo_setup: the demo restaurant without starting anything."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config import demo


class Command(BaseCommand):
    help = "Create the demonstration restaurant on an empty database."

    def handle(self, *args: Any, **options: Any) -> None:
        restaurant = demo.ensure_demo()
        print(restaurant.name if restaurant else "There are restaurants already; nothing was made.")
