"""manage.py demo_platforms: one order's life on every platform, beside the running product."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import platforms
from integrations.errors import IntegrationError


class Command(BaseCommand):
    help = (
        "Make a restaurant with a sandbox account at every provider, live one order and print who "
        "was told, which receipts and which replies came back. Needs 'make run' in another window."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        base_url = f"http://127.0.0.1:{settings.PORT}"
        try:
            scene = platforms.set_up(
                sandbox_url=settings.SANDBOX_URL, base_url=base_url, work=lambda: time.sleep(0.5)
            )
            scene.say = self.stdout.write
            scene.live()
        except IntegrationError as problem:
            raise CommandError(f"{problem}. Is 'make run' running?") from None
        except TimeoutError as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(scene.table())
        order = scene.order()
        self.stdout.write(f"The timeline: {base_url}/board/orders/{order.public_id}/")
        self.stdout.write(f"The windows:  {settings.SANDBOX_URL}/")
