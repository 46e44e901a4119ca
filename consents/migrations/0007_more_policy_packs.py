"""Policy packs of Canada, the United Kingdom, India, Brazil and Australia.

Rows that exist already stay as they are. Going back removes only these five versions.
"""

import json
from datetime import datetime
from pathlib import Path

from django.db import migrations

FILES = tuple(f"{name}-2026-11.json" for name in ("au", "br", "ca", "gb", "in"))


def _packs():
    folder = Path(__file__).resolve().parent.parent / "packs"
    return [json.loads((folder / name).read_text(encoding="utf-8")) for name in FILES]


def add(apps, schema_editor):
    packs = apps.get_model("consents", "PolicyPack")
    for pack in _packs():
        packs.objects.using(schema_editor.connection.alias).get_or_create(
            jurisdiction=pack["jurisdiction"],
            version=pack["version"],
            defaults={
                "effective_from": datetime.fromisoformat(pack["effective_from"]),
                "rules": pack["rules"],
                "sources": pack["sources"],
            },
        )


def remove(apps, schema_editor):
    packs = apps.get_model("consents", "PolicyPack")
    for pack in _packs():
        packs.objects.using(schema_editor.connection.alias).filter(
            jurisdiction=pack["jurisdiction"], version=pack["version"]
        ).delete()


class Migration(migrations.Migration):
    dependencies = [("consents", "0006_portal_and_rights")]

    operations = [migrations.RunPython(add, remove)]
