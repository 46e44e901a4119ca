"""Records of processing say what is configured, and name nobody."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command

from config import ropa
from consents import retention
from tests.stage import GUEST, PHONE, Stage


def test_the_records_follow_the_configuration(stage: Stage, tmp_path: Path, settings: Any) -> None:
    stage.open()
    group = stage.restaurant.sender_group
    group.name, group.postal_address = "Lucky | Bowl Inc", "1 Main St"
    group.save()
    settings.RETENTION_TEXTS_DAYS = 30
    out = StringIO()
    call_command("export_ropa", str(tmp_path / "books"), stdout=out)
    said = (tmp_path / "books" / "ropa.json").read_text()
    page = (tmp_path / "books" / "ropa.md").read_text()
    [record] = json.loads(said)
    assert record["controller"]["name"] == "Lucky | Bowl Inc"
    assert {row["name"] for row in record["recipients"]} == {"Twilio", "Mailgun", "Slack"}
    assert [row["for"] for row in record["sources"]] == ["orders"]
    basis = {one["purpose"]: one["lawful_basis"]["US"] for one in record["activities"]}
    assert basis["order_updates"]["sms"] == "consent"
    assert basis["marketing"]["sms"] == "written_consent"
    assert record["retention"]["messages from people"] == "30 days"
    assert "| messages from people | 30 days |" in page
    assert "Lucky | Bowl" in page
    assert "- Twilio (sms)" in page
    for word in (PHONE, GUEST["email"], "Ana"):
        assert word not in said + page


def test_every_rule_of_the_nightly_run_is_told() -> None:
    """A rule somebody adds belongs into the records too."""
    told = {
        "address_reveals": "rights requests",
        "deliveries": "deliveries and receipts",
        "evidence": "proof of consent",
        "export_files": "exports",
        "inbound_messages": "deliveries and receipts",
        "inbound_texts": "messages from people",
        "inbox_texts": "messages from people",
        "ledger_chains": "consent ledger and wording",
        "portal_links": "links of the portal",
        "raw_calls": "raw calls of sources",
        "rights_requests": "rights requests",
        "unmatched_receipts": "deliveries and receipts",
    }
    assert told.keys() == {rule.name for rule in retention.rules()}
    assert set(told.values()) <= ropa.retention().keys()
