"""Policy packs as data."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from consents import selectors
from consents.models import PolicyPack
from consents.packs import PackInvalid, PackSet, compile_pack
from tests.consents.factories import NOW, shipped, shipped_packs

DAILY_8_TO_20 = ((480, 1200),) * 7


@pytest.mark.parametrize(
    ("country", "channel", "purpose", "basis"),
    [
        ("US", "sms", "order_updates", "consent"),
        ("US", "email", "order_updates", "contract"),
        ("US", "whatsapp", "order_updates", "consent"),
        ("US", "web_push", "order_updates", "contract"),
        ("US", "sms", "marketing", "written_consent"),
        ("US", "sms", "feedback", "written_consent"),
        ("US", "sms", "service_reply", "none"),
        ("US", "sms", "staff_ops", "consent"),
        ("US", "team_chat", "staff_ops", "none"),
        ("PR", "sms", "order_updates", "consent"),
        ("DE", "sms", "order_updates", "contract"),
        ("DE", "email", "marketing", "soft_opt_in"),
        ("IS", "sms", "marketing", "consent"),
        ("AU", "sms", "order_updates", "contract"),
        ("AU", "sms", "marketing", "soft_opt_in"),
        ("AU", "push", "marketing", "consent"),
        ("GB", "email", "order_updates", "contract"),
        ("GB", "sms", "marketing", "soft_opt_in"),
        ("GB", "whatsapp", "order_updates", "consent"),
        ("CA", "sms", "order_updates", "consent"),
        ("CA", "email", "order_updates", "contract"),
        ("CA", "email", "marketing", "soft_opt_in"),
        ("CA", "email", "feedback", "consent"),
        ("IN", "sms", "order_updates", "contract"),
        ("IN", "email", "marketing", "written_consent"),
        ("BR", "sms", "marketing", "written_consent"),
        ("BR", "email", "order_updates", "contract"),
        ("NZ", "sms", "order_updates", "consent"),
        ("", "sms", "order_updates", "consent"),
    ],
)
def test_basis(country: str, channel: str, purpose: str, basis: str) -> None:
    assert shipped().ruling((country,), channel, purpose).required_basis == basis


def test_of_several_countries_the_strictest_counts_and_all_are_named() -> None:
    ruling = shipped().ruling(("DE", "US", "FR", ""), "sms", "order_updates")
    assert ruling.required_basis == "consent"
    assert ruling.version == "EU 2026-11+US 2026-11"


def test_hours_and_volume_narrow_in_stricter_states() -> None:
    ruling = shipped().ruling(("US",), "sms", "marketing")
    assert ruling.hours is not None
    assert ruling.hours.days == DAILY_8_TO_20
    assert ruling.max_per_day is None
    texas = ruling.within("+1214", ())
    assert texas.hours is not None
    assert texas.hours.days == ((540, 1200),) * 6 + ((720, 1200),)
    assert ruling.within("+1305", ()).max_per_day == 3
    assert ruling.within("", ("US-OR",)).max_per_day == 3
    assert ruling.within("+1212", ()) is ruling


def test_a_pack_counts_from_its_first_instant_to_before_its_last() -> None:
    (base,) = (pack for pack in shipped_packs() if pack.jurisdiction == "US")
    start, end = NOW, NOW + timedelta(days=1)
    pack = compile_pack(
        jurisdiction="US", version="new", effective_from=start, effective_to=end, rules=base.rules
    )
    packs = [pack, base]
    instants = [start - timedelta(microseconds=1), start, end - timedelta(microseconds=1), end]
    versions = [PackSet.at(packs, at).packs["US"].version for at in instants]
    assert versions == ["2026-11", "new", "new", "2026-11"]


def test_without_any_pack_nothing_but_answers_goes_without_a_written_grant() -> None:
    empty = PackSet.at([], NOW)
    assert empty.ruling(("US",), "email", "order_updates").required_basis == "written_consent"
    assert empty.ruling(("US",), "sms", "service_reply").required_basis == "none"


@pytest.mark.parametrize(
    "rule",
    [
        {"channel": "sms"},
        {"channel": "sms", "purpose": "marketing", "required_basis": "goodwill"},
        {"channel": "sms", "purpose": "marketing", "hours": {"daily": ["8", "20:00"]}},
        {"channel": "sms", "purpose": "marketing", "hours": {"someday": ["08:00", "20:00"]}},
        {"channel": "sms", "purpose": "marketing", "hours": {"daily": ["08:00", "25:00"]}},
        {"channel": "sms", "purpose": "marketing", "max_per_day": "3"},
        {"channel": "sms", "purpose": "marketing", "houres": {}},
    ],
)
def test_a_pack_that_cannot_be_read_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(PackInvalid, match="rule 1"):
        compile_pack(
            jurisdiction="XX", version="1", effective_from=NOW, effective_to=None, rules=[rule]
        )


@pytest.mark.django_db
def test_an_unreadable_row_falls_back_to_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    PolicyPack.objects.filter(jurisdiction="EU").update(rules=[{"channel": 3}])
    selectors.clear_caches()
    packs = selectors.active_packs(NOW)
    assert packs.ruling(("DE",), "sms", "order_updates").version == "default 2026-11"
    assert [record.message for record in caplog.records] == ["policy_pack.unreadable"]
    selectors.clear_caches()


SHIPPED = {
    "0003_policy_packs": {"US", "EU", "default"},
    "0007_more_policy_packs": {"CA", "GB", "IN", "BR", "AU"},
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", SHIPPED)
def test_a_migration_ships_its_packs_once_and_takes_only_them_back(name: str) -> None:
    selectors.clear_caches()
    everything = set.union(*SHIPPED.values())
    assert set(selectors.active_packs(NOW).packs) == everything
    PolicyPack.objects.create(
        jurisdiction="US",
        version="ours",
        effective_from=datetime(2027, 1, 1, tzinfo=UTC),
        rules=[],
    )
    migration = MigrationExecutor(connection).loader.get_migration("consents", name)
    forwards, backwards = migration.operations[0].code, migration.operations[0].reverse_code
    with connection.schema_editor() as editor:
        forwards(apps, editor)
        assert PolicyPack.objects.count() == len(everything) + 1
        backwards(apps, editor)
    left = PolicyPack.objects.exclude(version="ours").values_list("jurisdiction", flat=True)
    assert set(left) == everything - SHIPPED[name]
    assert PolicyPack.objects.filter(version="ours").exists()
    with connection.schema_editor() as editor:
        forwards(apps, editor)
    assert PolicyPack.objects.count() == len(everything) + 1


def test_every_shipped_pack_names_its_sources_and_is_shipped() -> None:
    files = list((Path(settings.BASE_DIR) / "consents" / "packs").glob("*.json"))
    raw = [json.loads(path.read_text()) for path in files]
    assert {pack["jurisdiction"] for pack in raw} == set.union(*SHIPPED.values())
    for pack in raw:
        assert pack["sources"], pack["jurisdiction"]
        assert datetime.fromisoformat(pack["effective_from"]) < NOW


@pytest.mark.parametrize(
    ("country", "days"),
    [("US", 10), ("CA", 10), ("AU", 5), ("GB", 0), ("IN", 0), ("BR", 0), ("DE", 0)],
)
def test_how_soon_a_stop_must_be_obeyed(country: str, days: int) -> None:
    """We obey at once; the figure is what a manager is shown."""
    assert shipped().ruling((country,), "sms", "marketing").optout_deadline_days == days


def test_promotional_hours_of_india_and_a_guest_from_elsewhere() -> None:
    alone = shipped().ruling(("IN",), "sms", "marketing").hours
    both = shipped().ruling(("IN", "US"), "sms", "marketing").hours
    assert alone is not None
    assert both is not None
    assert alone.days == both.days == ((600, 1200),) * 7


@pytest.mark.django_db
def test_packs_are_read_once(django_assert_num_queries: object) -> None:
    selectors.clear_caches()
    with django_assert_num_queries(1):  # type: ignore[operator]
        first = selectors.active_packs(NOW)
        assert selectors.active_packs(NOW + timedelta(days=1)) is first
