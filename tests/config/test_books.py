"""The books about settings: every change is written by the database, whoever makes it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pghistory.models import Context

from config.models import (
    MessageTemplateVersionChange,
    PolicyPackChange,
    ProviderAccountChange,
    RouteChange,
    SenderGroupChange,
    SourceAccountChange,
)
from consents.models import PolicyPack, SenderGroup
from notifications import defaults
from notifications.models import MessageTemplate, ProviderAccount, Route
from notifications.services import save_account
from orders.accounts import save_source_account
from orders.models import SourceAccount
from tests.factories import make_manager, make_restaurant
from tests.stage import Stage

TWILIO = {"account_sid": "AC" + "1" * 32, "auth_token": "hush-token", "sender": "+12025550100"}


def labels(kind: Any, **about: Any) -> list[str]:
    return list(kind.objects.filter(**about).order_by("pgh_id").values_list("pgh_label", flat=True))


def test_a_bulk_update_is_recorded(db: None) -> None:
    restaurant = make_restaurant()
    defaults.install(restaurant)
    routes = Route.objects.filter(restaurant=restaurant, enabled=True)
    count = routes.count()
    routes.update(enabled=False)
    changed = RouteChange.objects.filter(pgh_label="update", enabled=False)
    assert count > 1
    assert changed.count() == count
    assert not changed.exclude(pgh_context=None).exists()  # nobody was at the console


def test_raw_sql_and_deletion_are_recorded(db: None) -> None:
    group = SenderGroup.objects.create(name="Lucky Bowl")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE consents_sendergroup SET country = 'CA' WHERE id = %s", [group.pk])
    PolicyPack.objects.filter(jurisdiction="US").delete()
    assert labels(SenderGroupChange, pgh_obj=group) == ["insert", "update"]
    assert SenderGroupChange.objects.get(pgh_label="update").country == "CA"
    assert "delete" in labels(PolicyPackChange, jurisdiction="US")


def test_secrets_are_never_copied_and_their_change_is(db: None) -> None:
    account = ProviderAccount(restaurant=make_restaurant(), provider="twilio", name="Texts")
    save_account(account=account, values=TWILIO)
    save_account(account=account, values={**TWILIO, "auth_token": ""})
    assert labels(ProviderAccountChange) == ["insert"]  # nothing changed, though it was saved
    save_account(account=account, values={**TWILIO, "auth_token": "hush-other"})
    assert labels(ProviderAccountChange) == ["insert", "secrets"]
    columns = {field.name for field in ProviderAccountChange._meta.fields}
    assert not {"settings", "token"} & columns
    assert not {"settings", "token"} & {f.name for f in SourceAccountChange._meta.fields}
    kept = str(list(ProviderAccountChange.objects.values()))
    assert "hush" not in kept
    assert TWILIO["account_sid"] not in kept


def test_a_source_saved_unchanged_changes_no_secrets(db: None) -> None:
    account = SourceAccount(restaurant=make_restaurant(), source="cloudevents", name="Shop")
    save_source_account(account=account, values={"secret": "hush"})
    save_source_account(account=SourceAccount.objects.get(pk=account.pk), values={})
    assert labels(SourceAccountChange) == ["insert"]
    SourceAccount.objects.filter(pk=account.pk).update(settings={"secret": "hush-2"})
    assert labels(SourceAccountChange) == ["insert", "secrets"]


def test_what_workers_write_is_no_change_of_settings(stage: Stage) -> None:
    stage.open()
    before = SourceAccountChange.objects.count(), ProviderAccountChange.objects.count()
    stage.post(state="ready")
    stage.settle_and_send()
    assert (SourceAccountChange.objects.count(), ProviderAccountChange.objects.count()) == before
    assert not Context.objects.exists()
    assert ProviderAccount.objects.exclude(last_accepted_at=None).exists()


@pytest.mark.parametrize("sql", ["UPDATE {} SET name = 'x'", "DELETE FROM {}"])
def test_the_books_cannot_be_rewritten(db: None, sql: str) -> None:
    SenderGroup.objects.create(name="Lucky Bowl")
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.format(SenderGroupChange._meta.db_table))
    assert SenderGroupChange.objects.get().name == "Lucky Bowl"


def test_a_change_at_the_console_names_person_and_page(db: None) -> None:
    restaurant = make_restaurant()
    manager = make_manager(restaurant)
    client = Client()
    client.force_login(manager)
    defaults.install(restaurant)
    route = Route.objects.filter(restaurant=restaurant).first()
    assert route is not None
    page = f"/admin/notifications/route/{route.pk}/change/"
    with CaptureQueriesContext(connection) as queries:
        client.get(page)
    assert not any("pghistory" in query["sql"] for query in queries)
    template = MessageTemplate.objects.filter(restaurant=restaurant, channel="").first()
    assert template is not None
    answer = client.post(
        f"/admin/notifications/messagetemplate/{template.pk}/change/",
        {
            "text": "Your order is ready!",
            "subject": "",
            "html": "",
            "purpose": template.purpose,
            "enabled": "on",
            "versions-TOTAL_FORMS": "0",
            "versions-INITIAL_FORMS": "0",
        },
    )
    assert answer.status_code == 302, answer.context["errors"]
    change = MessageTemplateVersionChange.objects.latest("pgh_id")
    assert change.text == "Your order is ready!"
    assert change.pgh_context.metadata == {
        "user": manager.pk,
        "name": manager.get_username(),
        "url": f"/admin/notifications/messagetemplate/{template.pk}/change/",
    }
