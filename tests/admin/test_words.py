"""Templates and routes: bad ones are refused at the field, good ones make a version."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from notifications.models import MessageTemplate, Route
from tests.admin.factories import World


def change_url(row: Any) -> str:
    return reverse(f"admin:notifications_{row._meta.model_name}_change", args=[row.pk])


def words(text: str, **more: str) -> dict[str, str]:
    data = {"text": text, "subject": "", "html": "", "purpose": "order_updates", "enabled": "on"}
    versions = {"versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"}
    return {**data, **versions, "vendor_template": "", **more}


def errors_of(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 200
    return dict(answer.context["adminform"].form.errors)


def test_good_words_become_a_version_in_the_managers_name(mine: World, manager: Client) -> None:
    answer = manager.post(change_url(mine.template), words("{{ order.number }} is ready, come!"))
    assert answer.status_code == 302
    newest = mine.template.versions.first()
    assert (newest.number, newest.text) == (2, "{{ order.number }} is ready, come!")
    assert newest.created_by == mine.manager
    assert mine.template.versions.count() == 2


def test_unchanged_words_make_no_version(mine: World, manager: Client) -> None:
    newest = mine.template.versions.first()
    manager.post(change_url(mine.template), words(newest.text, subject=newest.subject))
    assert mine.template.versions.count() == 1


@pytest.mark.parametrize(
    ("data", "field", "why"),
    [
        (words("{{ order.nmber }} is ready"), "text", "nmber"),
        (words("{% if order.number %}"), "text", "if"),
        (words("fine", subject="{{ nobody }}"), "subject", "nobody"),
        (words("fine", html="<p>{{ nothing.there }}</p>"), "html", "nothing"),
        (words("Ready. Here is a coupon!"), "text", "marketing"),
        (words(""), "text", "required"),
        (words("{% if order.is_delivery %}x{% endif %}"), "text", "empty for the sample"),
    ],
)
def test_bad_words_are_refused_at_their_field(
    mine: World, manager: Client, data: dict[str, str], field: str, why: str
) -> None:
    errors = errors_of(manager.post(change_url(mine.template), data))
    assert list(errors) == [field]
    assert why in errors[field][0]
    assert mine.template.versions.count() == 1


def test_what_a_template_is_for_never_changes(mine: World, manager: Client) -> None:
    manager.post(change_url(mine.template), words("Ready!", trigger="alarm", audience="staff"))
    mine.template.refresh_from_db()
    assert (mine.template.trigger, mine.template.audience) == ("status_changed:ready", "customer")


def test_a_new_template_is_saved_with_its_first_words(mine: World, manager: Client) -> None:
    data = words("SMS only: {{ order.number }}") | {
        "restaurant": str(mine.restaurant.pk),
        "trigger": "status_changed:ready",
        "audience": "customer",
        "channel": "sms",
        "language": "en",
    }
    add = reverse("admin:notifications_messagetemplate_add")
    assert manager.post(add, data).status_code == 302
    made = MessageTemplate.objects.get(
        restaurant=mine.restaurant, channel="sms", trigger="status_changed:ready"
    )
    assert [v.text for v in made.versions.all()] == ["SMS only: {{ order.number }}"]
    # the same place once more
    assert "__all__" in errors_of(manager.post(add, data))


def test_the_preview_shows_the_sample_and_its_cost(mine: World, manager: Client) -> None:
    url = reverse("admin:notifications_messagetemplate_preview")
    typed = {"trigger": "status_changed:ready", "language": "en", "channel": ""}
    page = manager.post(url, {**typed, "text": "{{ order.number }} is ready"}).content.decode()
    assert "1042 is ready" in page
    assert "13 characters · GSM-7 · 1 segment" in page
    long = "listo ñandu ő " * 12
    page = manager.post(url, {**typed, "text": long}).content.decode()
    assert "UCS-2 (because of “ő”)" in page
    assert "3 segments" in page
    page = manager.post(url, {**typed, "text": "{{ order.nmber }}"}).content.decode()
    assert "cannot be sent" in page
    assert "nmber" in page


def test_the_preview_of_foreign_html_is_caged(mine: World, manager: Client) -> None:
    url = reverse("admin:notifications_messagetemplate_preview")
    html = "<script>alert(1)</script>"
    page = manager.post(url, {"text": "x", "html": html, "trigger": "alarm"}).content.decode()
    assert "<script>" not in page
    assert '<iframe sandbox=""' in page


def test_the_page_shows_earlier_words(mine: World, manager: Client) -> None:
    manager.post(change_url(mine.template), words("Second words"))
    page = manager.get(change_url(mine.template)).content.decode()
    assert "is ready for pickup" in page
    assert "Second words" in page


# --- routes -------------------------------------------------------------------------------------


def route(**more: Any) -> dict[str, Any]:
    return {
        "name": "Guest: ready",
        "audience": "customer",
        "triggers": ["status_changed:ready", "order_delayed"],
        "purpose": "order_updates",
        "enabled": "on",
        "priority": 5,
        "steps-0-channel": "sms",
        "steps-0-when": "now",
        "steps-0-account": "",
        "steps-0-after_min": "",
        **more,
    }


@pytest.fixture
def existing(mine: World) -> Route:
    found = mine.rows[Route]
    assert isinstance(found, Route)
    return found


def test_steps_and_conditions_are_saved_as_data(
    mine: World, manager: Client, existing: Route
) -> None:
    data = route(
        **{
            "steps-1-channel": "email",
            "steps-1-when": "if_not_delivered",
            "steps-1-account": "",
            "steps-1-after_min": "2.5",
            "steps-2-channel": "",
            "steps-2-when": "now",
            "steps-0-account": str(mine.account.pk),
            "fulfillment": ["delivery"],
            "locations": [mine.location.pk],
            "min_late_min": "10",
        }
    )
    assert manager.post(change_url(existing), data).status_code == 302
    existing.refresh_from_db()
    assert existing.triggers == ["status_changed:ready", "order_delayed"]
    assert existing.steps == [
        {"channel": "sms", "when": "now", "account": mine.account.pk},
        {"channel": "email", "when": "if_not_delivered", "after_s": 150},
    ]
    assert existing.conditions == {
        "locations": [mine.location.pk],
        "fulfillment": ["delivery"],
        "min_late_min": 10,
    }
    page = manager.get(change_url(existing)).content.decode()
    assert 'value="2.5"' in page


@pytest.mark.parametrize(
    ("change", "field", "why"),
    [
        ({"triggers": []}, "triggers", "required"),
        ({"triggers": ["nonsense"]}, "triggers", "nonsense"),
        ({"steps-0-channel": ""}, "steps", "at least one step"),
        ({"steps-0-channel": "pigeon"}, "steps", "Step 1"),
        ({"steps-0-when": "otherwise"}, "steps", "Step 1 must be taken at once"),
        (
            {"steps-1-channel": "email", "steps-1-when": "if_not_delivered"},
            "steps",
            "Step 2: after how many minutes",
        ),
        ({"steps-0-account": "999999"}, "steps", "no such account"),
    ],
)
def test_a_route_that_cannot_work_is_refused(
    manager: Client, existing: Route, change: dict[str, Any], field: str, why: str
) -> None:
    before = (existing.name, existing.triggers, existing.steps)
    errors = errors_of(manager.post(change_url(existing), route(**change)))
    assert why in errors[field][0]
    existing.refresh_from_db()
    assert (existing.name, existing.triggers, existing.steps) == before


def test_another_restaurants_account_and_kitchen_are_refused(
    manager: Client, superuser: Client, existing: Route, theirs: World
) -> None:
    for client in (manager, superuser):
        stolen = route(**{"steps-0-account": str(theirs.account.pk)})
        assert "steps" in errors_of(client.post(change_url(existing), stolen))
        stolen = route(locations=[theirs.location.pk])
        assert "locations" in errors_of(client.post(change_url(existing), stolen))


def test_the_standard_set_fills_only_gaps_and_only_mine(
    mine: World, theirs: World, manager: Client
) -> None:
    gone = Route.objects.filter(restaurant=mine.restaurant).last()
    assert gone is not None
    gone.delete()
    Route.objects.filter(restaurant=theirs.restaurant).delete()
    before = Route.objects.filter(restaurant=mine.restaurant).count()
    url = reverse("admin:notifications_route_standard")
    assert manager.get(url).status_code == 405
    answer = manager.post(url, follow=True)
    assert [str(m) for m in answer.context["messages"]] == ["1 route added."]
    assert Route.objects.filter(restaurant=mine.restaurant).count() == before + 1
    assert not Route.objects.filter(restaurant=theirs.restaurant).exists()


def test_a_route_can_be_deleted(manager: Client, existing: Route) -> None:
    url = reverse("admin:notifications_route_delete", args=[existing.pk])
    assert manager.post(url, {"post": "yes"}).status_code == 302
    assert not Route.objects.filter(pk=existing.pk).exists()
