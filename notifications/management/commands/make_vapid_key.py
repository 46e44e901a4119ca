"""manage.py make_vapid_key: the key pair browsers know us by."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management.base import BaseCommand

from integrations.providers.web_push import WebPush


class Command(BaseCommand):
    help = "Make a VAPID key for Web Push. Keep it: a new one ends every browser's subscription."

    def handle(self, *args: Any, **options: Any) -> None:
        number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
        private = base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
        made = WebPush({"vapid_private_key": private, "contact": "mailto:ops@example.com"})
        self.stdout.write(f"WEB_PUSH_VAPID_PRIVATE_KEY={private}")
        self.stdout.write(f"# the public half, which pages carry: {made.public_key}")
        self.stdout.write(
            "# next, with WEB_PUSH_CONTACT=mailto:you@your.domain in the environment:"
        )
        self.stdout.write("#   python manage.py connect web_push --from-env")
