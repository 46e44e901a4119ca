"""Every list and every row opens; what belongs to another restaurant does not exist."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from consents.console import ConsoleAdmin
from consents.models import LedgerCheckpoint, PolicyPack, RetentionRun
from notifications.models import Heartbeat
from tests.admin.factories import MAILBOX, NOW, PHONE, SECRETS, World
from tests.factories import make_manager

PAGES = [model for model, page in admin.site._registry.items() if isinstance(page, ConsoleAdmin)]
#: the same rows for everybody: no restaurant owns them
SHARED = (Heartbeat, PolicyPack, RetentionRun, LedgerCheckpoint)
OWNED = [model for model in PAGES if model not in SHARED]
OTHERS = [model for model in admin.site._registry if model not in PAGES]


def name_of(model: type[models.Model]) -> str:
    return model._meta.label_lower


def url(model: type[models.Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def pks_in(page: Any) -> set[str]:
    return {str(row.pk) for row in page.context["cl"].result_list}


def test_every_model_of_a_restaurant_has_an_example(mine: World) -> None:
    assert set(mine.rows) == set(OWNED)


@pytest.mark.parametrize("model", OWNED, ids=name_of)
def test_a_manager_sees_the_list_and_the_row(
    mine: World, theirs: World, manager: Client, model: Any
) -> None:
    page = manager.get(url(model, "changelist"), {"all": ""})
    assert page.status_code == 200
    assert str(mine.rows[model].pk) in pks_in(page)
    assert str(theirs.rows[model].pk) not in pks_in(page)
    row = manager.get(url(model, "change", mine.rows[model].pk))
    assert row.status_code == 200
    assert row.context["title"]


@pytest.mark.parametrize("model", OWNED, ids=name_of)
@pytest.mark.parametrize("page", ["change", "history", "delete"])
def test_rows_of_another_restaurant_do_not_exist(
    mine: World, theirs: World, manager: Client, model: Any, page: str
) -> None:
    address = url(model, page, theirs.rows[model].pk)
    assert manager.get(address).status_code in (403, 404)
    assert manager.post(address, {"post": "yes"}).status_code in (403, 404)
    assert model._default_manager.filter(pk=theirs.rows[model].pk).exists()


@pytest.mark.parametrize("model", OWNED, ids=name_of)
def test_a_superuser_sees_everything(
    mine: World, theirs: World, superuser: Client, model: Any
) -> None:
    page = superuser.get(url(model, "changelist"), {"all": ""})
    assert page.status_code == 200
    wanted = {str(mine.rows[model].pk), str(theirs.rows[model].pk)}
    assert wanted <= pks_in(page)
    for world in (mine, theirs):
        assert superuser.get(url(model, "change", world.rows[model].pk)).status_code == 200


@pytest.mark.parametrize("model", PAGES, ids=name_of)
def test_somebody_without_a_restaurant_sees_no_page(db: None, model: Any) -> None:
    client = Client()
    client.force_login(make_manager(None))
    assert client.get(url(model, "changelist")).status_code == 403


@pytest.mark.parametrize("model", PAGES, ids=name_of)
def test_an_outsider_is_asked_to_sign_in(db: None, client: Client, model: Any) -> None:
    answer = client.get(url(model, "changelist"))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("admin:login"))


@pytest.mark.parametrize("model", OTHERS, ids=name_of)
def test_users_and_schedules_are_for_superusers(
    manager: Client, superuser: Client, model: Any
) -> None:
    assert manager.get(url(model, "changelist")).status_code == 403
    assert superuser.get(url(model, "changelist")).status_code == 200
    assert superuser.get(url(model, "add")).status_code == 200


@pytest.mark.parametrize("model", SHARED, ids=name_of)
def test_shared_pages_open_for_managers(manager: Client, model: Any) -> None:
    Heartbeat.objects.create(name="sweep", at=NOW)
    RetentionRun.objects.create(ran_at=NOW, counts={"bodies": 3})
    LedgerCheckpoint.objects.create(made_at=NOW, chains=1, last_sequence=1)
    assert manager.get(url(model, "changelist")).status_code == 200
    row = model._default_manager.first()
    assert manager.get(url(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", PAGES, ids=name_of)
def test_a_list_has_seven_columns_at_most_and_asks_one_question(
    mine: World, superuser: Client, model: Any
) -> None:
    page = superuser.get(url(model, "changelist"))
    columns = [name for name in page.context["cl"].list_display if name != "action_checkbox"]
    assert 1 <= len(columns) <= 7
    assert str(page.context["title"]).endswith("?")


@pytest.mark.parametrize("model", PAGES, ids=name_of)
def test_an_empty_list_says_the_next_step(superuser: Client, model: Any) -> None:
    page = admin.site._registry[model]
    if model is PolicyPack:
        PolicyPack.objects.all().delete()
    answer = superuser.get(url(model, "changelist"))
    assert answer.status_code == 200
    assert "Nothing here yet." in answer.content.decode()
    assert page.empty_hint or page.has_add_permission(answer.wsgi_request)


def test_select_boxes_offer_only_ones_own(mine: World, theirs: World, manager: Client) -> None:
    pages = [
        url(type(mine.location), "add"),
        url(type(mine.template), "add"),
        f"{url(type(mine.source), 'add')}?vendor=cloudevents",
        f"{url(type(mine.account), 'add')}?vendor=twilio",
        reverse("admin:notifications_route_add"),
        reverse("admin:orders_apikey_add"),
        url(type(mine.source), "change", mine.source.pk),
    ]
    for page in pages:
        text = manager.get(page).content.decode()
        assert "Other Kitchen" not in text
        assert "Lucky Bowl" in text


def test_filters_offer_only_ones_own(mine: World, theirs: World, manager: Client) -> None:
    for model in OWNED:
        assert "Other Kitchen" not in manager.get(url(model, "changelist")).content.decode()
        assert theirs.account.name not in manager.get(url(model, "changelist")).content.decode()


def test_a_posted_foreign_key_of_another_restaurant_is_refused(
    mine: World, theirs: World, manager: Client
) -> None:
    model = type(mine.location)
    answer = manager.post(
        url(model, "add"),
        {
            "restaurant": theirs.restaurant.pk,
            "name": "Sneaky",
            "timezone": "",
            "external_ids": "",
            **dict.fromkeys(("grace_min", "stalled_min", "kitchen_floor_min"), 5),
            **dict.fromkeys(("courier_floor_min", "threshold_cap_min", "busy_extra_min"), 5),
        },
    )
    assert answer.status_code == 200
    assert "restaurant" in answer.context["adminform"].form.errors
    assert not model.objects.filter(name="Sneaky").exists()


@pytest.mark.parametrize("model", PAGES, ids=name_of)
def test_no_page_shows_a_secret_or_an_address(mine: World, superuser: Client, model: Any) -> None:
    addresses = [url(model, "changelist")]
    if model in mine.rows:
        addresses.append(url(model, "change", mine.rows[model].pk))
    for address in addresses:
        text = html.unescape(superuser.get(address).content.decode())
        for secret in (*SECRETS, mine.key_text, MAILBOX, mine.address.value, PHONE):
            assert secret not in text
        digits = re.sub(r"\D", "", mine.address.value)
        assert digits not in text


@pytest.mark.parametrize(
    "name",
    [
        *("orders_order", "orders_orderevent", "orders_observation", "orders_inboundcall"),
        *("notifications_notification", "notifications_delivery", "notifications_attempt"),
        *("notifications_receipt", "notifications_inboundmessage", "notifications_heartbeat"),
        *("consents_consentevent", "consents_consentstate", "consents_suppression"),
        *("consents_contactaddress", "consents_subject", "consents_noticeversion"),
        *("consents_policypack", "consents_inboxitem"),
    ],
)
def test_records_cannot_be_added_changed_or_deleted(
    mine: World, superuser: Client, name: str
) -> None:
    Heartbeat.objects.create(name="sweep", at=NOW)
    model = next(model for model in PAGES if model._meta.label_lower.replace(".", "_") == name)
    row: Any = mine.rows.get(model) or model._default_manager.first()
    before = list(model._default_manager.filter(pk=row.pk).values())
    assert superuser.get(url(model, "add")).status_code == 403
    assert superuser.post(url(model, "add"), {}).status_code == 403
    assert superuser.post(url(model, "change", row.pk), {"_save": "1"}).status_code == 403
    assert superuser.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    many = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    superuser.post(url(model, "changelist"), many)
    assert list(model._default_manager.filter(pk=row.pk).values()) == before


def test_the_autocomplete_offers_only_ones_own(mine: World, theirs: World, manager: Client) -> None:
    asked = {"app_label": "orders", "model_name": "location", "field_name": "restaurant"}
    answer = manager.get(reverse("admin:autocomplete"), asked)
    assert [row["text"] for row in answer.json()["results"]] == ["Lucky Bowl"]


@pytest.mark.parametrize(
    "name",
    [
        *("orders_order", "orders_inboundcall", "orders_orderevent", "notifications_notification"),
        *("notifications_delivery", "notifications_attempt", "consents_consentevent"),
        "notifications_messagetemplate",
    ],
)
def test_a_list_asks_the_database_as_often_for_many_rows_as_for_few(
    mine: World, superuser: Client, name: str
) -> None:
    address = reverse(f"admin:{name}_changelist")
    with CaptureQueriesContext(connection) as few:
        superuser.get(address, {"all": ""})
    World("Second Kitchen")
    World("Third Kitchen")
    with CaptureQueriesContext(connection) as many:
        superuser.get(address, {"all": ""})
    # a filter by account or restaurant appears with the second one: a query each
    assert len(many) <= len(few) + 2


def test_times_stand_on_the_restaurants_clock(mine: World, manager: Client) -> None:
    page = manager.get(url(type(mine.note), "change", mine.note.pk)).content.decode()
    assert "6:40 p.m." in page  # 22:40 UTC in New York, summer time
    assert "10:40 p.m." not in page
