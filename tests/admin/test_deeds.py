"""What managers do: send again, read again, say what the kitchen did, settle words, make keys."""

from __future__ import annotations

import re
import urllib.request
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from consents.models import ConsentState, InboxItem
from notifications.models import Delivery, Heartbeat, Notification
from orders.api_keys import verify_key
from orders.models import ApiKey, InboundCall, Order, SourceAccount
from tests.admin.factories import World
from tests.factories import make_manager
from tests.stage import Stage


def act(client: Client, name: str, action: str, *rows: Any) -> list[str]:
    """Run a bulk action; returns what was said."""
    url = reverse(f"admin:{name}_changelist")
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    answer = client.post(url, data, follow=True)
    assert answer.status_code == 200
    return [str(message) for message in answer.context["messages"]]


# --- dead letters ---------------------------------------------------------------------------------


def test_dead_letters_are_one_list_and_leave_again(
    mine: World, theirs: World, manager: Client
) -> None:
    page = manager.get(reverse("admin:notifications_delivery_changelist"), {"standing": "dead"})
    assert [row.pk for row in page.context["cl"].result_list] == [mine.delivery.pk]
    assert str(page.context["title"]) == "Which messages did not arrive?"
    said = act(manager, "notifications_delivery", "send_again", mine.delivery)
    assert said == ["1 message leaves again."]
    mine.delivery.refresh_from_db()
    assert (mine.delivery.state, mine.delivery.reason) == ("queued", "replayed")
    assert mine.delivery.resent_by == mine.manager.username
    assert mine.delivery.expires_at > timezone.now()


def test_dead_letters_of_others_stay_where_they_are(
    mine: World, theirs: World, manager: Client
) -> None:
    act(manager, "notifications_delivery", "send_again", theirs.delivery)
    url = reverse("admin:notifications_delivery_again", args=[theirs.delivery.pk])
    assert manager.post(url).status_code == 404
    theirs.delivery.refresh_from_db()
    assert theirs.delivery.state == "failed"


def test_what_was_delivered_or_refused_is_not_sent_again(mine: World, manager: Client) -> None:
    Delivery.objects.filter(pk=mine.delivery.pk).update(overtaken_by_withdrawal=True)
    (said,) = act(manager, "notifications_delivery", "send_again", mine.delivery)
    assert said.startswith("0 messages leave again.")
    Delivery.objects.filter(pk=mine.delivery.pk).update(
        overtaken_by_withdrawal=False, state="delivered"
    )
    act(manager, "notifications_delivery", "send_again", mine.delivery)
    mine.delivery.refresh_from_db()
    assert mine.delivery.state == "delivered"


def test_the_page_of_a_dead_letter_has_its_button(mine: World, manager: Client) -> None:
    page = reverse("admin:notifications_delivery_change", args=[mine.delivery.pk])
    url = reverse("admin:notifications_delivery_again", args=[mine.delivery.pk])
    assert f'action="{url}"' in manager.get(page).content.decode()
    assert manager.post(url).status_code == 302
    mine.delivery.refresh_from_db()
    assert mine.delivery.state == "queued"
    assert f'action="{url}"' not in manager.get(page).content.decode()


def test_a_dead_letter_really_arrives_the_second_time(stage: Stage, superuser: Client) -> None:
    for vendor in ("twilio", "mailgun"):
        stage.fault(vendor=vendor, kind="html", status=400, times=10)
    stage.open()
    stage.post(state="ready")
    stage.settle_and_send()
    dead = Delivery.objects.filter(state="failed", channel="sms").last()
    assert dead is not None
    assert stage.messages("twilio") == []
    _clear_faults(stage)
    act(superuser, "notifications_delivery", "send_again", dead)
    stage.send()
    dead.refresh_from_db()
    assert dead.state in ("accepted", "delivered")
    assert sum("ready for pickup" in text for text in stage.texts()) == 1


def _clear_faults(stage: Stage) -> None:
    request = urllib.request.Request(f"{stage.sandbox.url}/_sandbox/faults", method="DELETE")
    urllib.request.urlopen(request, timeout=5).close()


# --- the trace ------------------------------------------------------------------------------------


def test_a_decision_reads_as_rows(mine: World, manager: Client) -> None:
    url = reverse("admin:notifications_notification_change", args=[mine.note.pk])
    page = manager.get(url)
    text = page.content.decode()
    assert str(page.context["title"]) == "Why was this sent, and did it arrive?"
    assert "no email address" in text
    assert '<span class="tag tag-bad">dropped</span>' in text
    assert "HTTP 400" in text
    Delivery.objects.all().delete()
    assert str(manager.get(url).context["title"]) == "Why was nobody told?"


# --- quarantine -----------------------------------------------------------------------------------


def test_a_call_is_read_again_after_the_cause_was_mended(stage: Stage, superuser: Client) -> None:
    SourceAccount.objects.filter(pk=stage.source.pk).update(location=None)
    stage.location.external_ids = []
    stage.location.save()
    stage.open()
    call = InboundCall.objects.get()
    assert call.state == "quarantined"
    page = superuser.get(reverse("admin:orders_inboundcall_changelist"), {"standing": "stuck"})
    assert "unknown location" in page.content.decode()
    said = act(superuser, "orders_inboundcall", "read_again", call)
    assert said == ["0 calls read. 1 still cannot be read; the cause stands beside each."]
    stage.location.external_ids = ["L1"]
    stage.location.save()
    assert act(superuser, "orders_inboundcall", "read_again", call) == ["1 call read."]
    call.refresh_from_db()
    assert call.state == "applied"
    assert Order.objects.get().display == "1042"
    assert act(superuser, "orders_inboundcall", "read_again", call) == [
        "None of these needs to be read again."
    ]


# --- orders ---------------------------------------------------------------------------------------


def test_the_page_of_an_order_tells_the_whole_story(stage: Stage, superuser: Client) -> None:
    stage.open(parts=[{"id": "b1", "label": "Bowl 1"}, {"id": "b2", "label": "Bowl 2"}])
    stage.post(state="ready")
    stage.settle_and_send()
    url = reverse("admin:orders_order_change", args=[stage.order().pk])
    text = superuser.get(url).content.decode()
    for words in ("Was the guest told?", "Everything, in order", "Web shop", "accepted by the"):
        assert words in text
    assert "+12025550143" not in text


def test_a_button_is_an_observation_in_the_managers_name(stage: Stage, superuser: Client) -> None:
    stage.open()
    order = stage.order()
    url = reverse("admin:orders_order_say", args=[order.pk])
    assert superuser.post(url, {"state": "ready"}).status_code == 302
    order.refresh_from_db()
    assert order.state == "ready"
    statement = order.observations.get(source="manual")
    assert (statement.state, statement.data["actor"]) == ("ready", "root")
    assert superuser.post(url, {"state": "delivered"}).status_code == 404
    assert superuser.post(url, {"state": "nonsense"}).status_code == 404


# --- words of people ------------------------------------------------------------------------------


def test_an_inbox_item_is_settled_once_in_a_name(mine: World, manager: Client) -> None:
    InboxItem.objects.filter(pk=mine.inbox.pk).update(holds_marketing=True)
    assert act(manager, "consents_inboxitem", "settle", mine.inbox) == ["1 message settled."]
    mine.inbox.refresh_from_db()
    assert mine.inbox.settled_by == mine.manager.username
    assert mine.inbox.holds_marketing is False
    assert act(manager, "consents_inboxitem", "settle", mine.inbox) == ["0 messages settled."]


def test_words_can_be_read_as_a_stop(mine: World, theirs: World, manager: Client) -> None:
    rows = (mine.inbox, theirs.inbox)
    assert act(manager, "consents_inboxitem", "stop_writing", *rows) == ["1 person gets no more."]
    states = ConsentState.objects.filter(
        sender_group=mine.restaurant.sender_group, channel="sms", purpose="order_updates"
    )
    assert [row.state for row in states] == ["withdrawn"]
    theirs.inbox.refresh_from_db()
    assert theirs.inbox.settled_at is None


# --- keys -----------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_works(mine: World, manager: Client) -> None:
    data = {
        "restaurant": mine.restaurant.pk,
        "name": "Kiosk",
        "scopes": ["orders:read", "orders:write"],
    }
    answer = manager.post(reverse("admin:orders_apikey_add"), data, follow=True)
    (text,) = set(re.findall(r"ou_[0-9a-f]{8}_[\w-]{20,}", answer.content.decode()))
    key = verify_key(text)
    assert key is not None
    assert (key.name, key.restaurant_id) == ("Kiosk", mine.restaurant.pk)
    assert key.scopes == ["orders:read", "orders:write"]
    assert ApiKey.objects.filter(name="Kiosk").count() == 1
    for page in (
        reverse("admin:orders_apikey_changelist"),
        reverse("admin:orders_apikey_change", args=[key.pk]),
    ):
        assert text not in manager.get(page).content.decode()
    assert act(manager, "orders_apikey", "revoke", key) == ["1 key revoked."]
    assert verify_key(text) is None


def test_a_key_for_another_restaurant_is_refused(
    mine: World, theirs: World, manager: Client
) -> None:
    data = {"restaurant": theirs.restaurant.pk, "name": "Kiosk", "scopes": ["orders:read"]}
    answer = manager.post(reverse("admin:orders_apikey_add"), data)
    assert "restaurant" in answer.context["adminform"].form.errors
    assert not ApiKey.objects.filter(name="Kiosk").exists()


# --- restaurants ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"accent": "#888888"}, ""),
        ({"accent": "red"}, "accent"),
        ({"timezone": "Mars"}, "timezone"),
    ],
)
def test_a_restaurant_is_checked_when_saved(
    mine: World, manager: Client, change: dict[str, str], field: str
) -> None:
    data = {"name": "Lucky Bowl", "country": "us", "timezone": "Europe/Berlin", "language": "en"}
    none = {"locations-TOTAL_FORMS": 0, "locations-INITIAL_FORMS": 0}
    url = reverse("admin:orders_restaurant_change", args=[mine.restaurant.pk])
    answer = manager.post(url, {**data, "slug": "stolen", **none, **change})
    mine.restaurant.refresh_from_db()
    assert mine.restaurant.slug != "stolen"
    if field:
        assert field in answer.context["adminform"].form.errors
    else:
        assert answer.status_code == 302
        assert mine.restaurant.country == "US"


# --- the first page -------------------------------------------------------------------------------


def home(client: Client) -> str:
    answer = client.get(reverse("admin:index"))
    assert answer.status_code == 200
    return answer.content.decode()


def test_home_names_what_is_wrong_and_links_to_the_cure(
    mine: World, theirs: World, manager: Client
) -> None:
    text = home(manager)
    assert "The dispatcher is silent (never heard)" in text
    assert f"{mine.slack.name} is stopped" in text
    assert "1 message did not arrive" in text
    assert "1 call could not be read" in text
    assert "1 person wrote to us" in text
    assert reverse("admin:notifications_provideraccount_change", args=[mine.slack.pk]) in text
    assert theirs.slack.name not in text


def test_home_is_red_when_the_sweep_is_older_than_half_a_minute(
    mine: World, manager: Client
) -> None:
    Heartbeat.objects.create(name="sweep", at=timezone.now() - timedelta(seconds=31))
    assert "The dispatcher is silent" in home(manager)
    Heartbeat.objects.update(at=timezone.now())
    assert "The dispatcher is silent" not in home(manager)


def test_home_is_calm_when_all_is_well(mine: World, manager: Client) -> None:
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    Notification.objects.all().delete()
    InboundCall.objects.all().delete()
    InboxItem.objects.all().delete()
    mine.slack.delete()
    text = home(manager)
    assert "All is well" in text
    assert 'role="alert"' not in text


def test_home_tells_somebody_without_a_restaurant_what_to_do(db: None, superuser: Client) -> None:
    assert "Add a restaurant" in home(superuser)
    client = Client()
    client.force_login(make_manager(None))
    assert "Ask your administrator" in home(client)


def test_the_sidebar_offers_only_what_the_person_may_open(
    mine: World, manager: Client, superuser: Client
) -> None:
    users = reverse("admin:auth_user_changelist")
    assert users in home(superuser)
    text = home(manager)
    assert users not in text
    links = set(re.findall(r'href="(/admin/[^"?]+/)', text))
    assert len(links) > 15
    for link in sorted(links - {"/admin/logout/"}):
        assert manager.get(link).status_code in (200, 302)
