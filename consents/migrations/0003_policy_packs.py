"""The policy packs a new installation starts with: United States, European Union, default.

Rows that exist already stay as they are. Going back removes only these three versions.
"""

import json
from datetime import datetime
from pathlib import Path

from django.db import migrations

FILES = ("default-2026-11.json", "eu-2026-11.json", "us-2026-11.json")


def _packs():
    folder = Path(__file__).resolve().parent.parent / "packs"
    return [json.loads((folder / name).read_text(encoding="utf-8")) for name in FILES]


def add(apps, schema_editor):
    packs = apps.get_model("consents", "PolicyPack")
    for pack in _packs():
        until = pack["effective_to"]
        packs.objects.using(schema_editor.connection.alias).get_or_create(
            jurisdiction=pack["jurisdiction"],
            version=pack["version"],
            defaults={
                "effective_from": datetime.fromisoformat(pack["effective_from"]),
                "effective_to": datetime.fromisoformat(until) if until else None,
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
    dependencies = [("consents", "0002_append_only_ledger")]

    operations = [migrations.RunPython(add, remove)]
