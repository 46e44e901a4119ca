"""The page of a source: connect it, try it, say what its words mean and who tells the guest."""

from __future__ import annotations

import html
import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client, TestCase
from django.urls import reverse
from django.utils import timezone

from integrations import registry
from integrations.contracts import State
from integrations.sandbox.server import SandboxServer
from notifications.models import Notification
from orders import follow_ups, status_maps
from orders.models import InboundCall, Order, SourceAccount, UnknownWord
from orders.selectors import clear_caches
from tests.admin.factories import SECRETS, World
from tests.factories import make_source_account
from tests.orders.posting import SECRET as TILL_SECRET
from tests.orders.posting import Till, open_till
from tests.stage import Stage

SOURCE = {"mode": "live", "enabled": "on"}
KEYS = sorted(registry.SOURCES)


def change_url(account: Any) -> str:
    return reverse("admin:orders_sourceaccount_change", args=[account.pk])


def add_url(key: str) -> str:
    return f"{reverse('admin:orders_sourceaccount_add')}?vendor={key}"


def said(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def text_of(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def press(client: Client, url: str, data: Any = None) -> list[str]:
    """Press a button of a page and read what is said; commits what waits for a commit."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        return said(client.post(url, data or {}, follow=True))


def saved(client: Client, account: SourceAccount, **data: Any) -> list[str]:
    """Save the form of ``account`` with ``data``; everything else stays."""
    typed = {**SOURCE, "name": account.name, "location": account.location_id or "", **data}
    return press(client, change_url(account), typed)


def errors_of(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 200
    return dict(answer.context["adminform"].form.errors)


@pytest.fixture
def till(mine: World) -> Till:
    """A web shop of the manager's restaurant that posts to the real endpoint."""
    clear_caches()
    mine.source.settings = {"secret": TILL_SECRET}
    mine.source.save()
    return Till(mine.restaurant, mine.location, mine.source)


# --- adding and saving ------------------------------------------------------------------------


def test_a_source_keeps_its_secret_and_maps_a_word(mine: World, manager: Client) -> None:
    saved(
        manager,
        mine.source,
        **{
            "name": "Web shop",
            "told_by_source-ready": "source",
            "told_by_source-received": "we",
            "status_map-0-stream": "order",
            "status_map-0-word": "PLATED",
            "status_map-0-meaning": "ready",
            "status_map-1-word": "",
        },
    )
    account = SourceAccount.objects.get(pk=mine.source.pk)
    assert account.name == "Web shop"
    assert account.settings["secret"] == SECRETS[0]
    assert account.told_by_source == ["ready"]
    assert (account.status_map, account.status_map_version) == ({"order": {"PLATED": "ready"}}, 2)


def test_what_intake_writes_meanwhile_is_not_undone(mine: World, manager: Client) -> None:
    page = manager.get(change_url(mine.source))
    assert page.status_code == 200
    SourceAccount.objects.filter(pk=mine.source.pk).update(
        seen_states=["delivered"], signature_failures=7
    )
    saved(manager, mine.source, name="Renamed")
    account = SourceAccount.objects.get(pk=mine.source.pk)
    assert (account.name, account.seen_states) == ("Renamed", ["delivered"])
    assert account.signature_failures == 7


def test_a_page_without_the_table_leaves_the_words_alone(mine: World, manager: Client) -> None:
    SourceAccount.objects.filter(pk=mine.source.pk).update(status_map={"order": {"A": "ready"}})
    saved(manager, mine.source, name="Renamed")
    account = SourceAccount.objects.get(pk=mine.source.pk)
    assert account.status_map == {"order": {"A": "ready"}}
    assert account.status_map_version == 1


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("order", "PLATED", "plated")], "Row 1: “plated” is no state of ours."),
        ([("", "PLATED", "ready")], "Row 1: choose where the source says “PLATED”."),
        (
            [("order", "A", "ready"), ("order", "A", "nothing")],
            "Row 2: “A” stands in this table twice.",
        ),
    ],
)
def test_words_that_make_no_sense_are_refused(
    mine: World, manager: Client, rows: list[tuple[str, str, str]], why: str
) -> None:
    data = {
        f"status_map-{n}-{part}": value
        for n, row in enumerate(rows)
        for part, value in zip(("stream", "word", "meaning"), row, strict=True)
    }
    typed = {**SOURCE, "name": "Web shop", **data}
    answer = manager.post(change_url(mine.source), typed)
    assert errors_of(answer)["status_map"] == [why]
    # what was typed is still there
    assert f'value="{rows[0][1]}"' in text_of(answer)
    assert SourceAccount.objects.get(pk=mine.source.pk).status_map == {}


def test_two_managers_do_not_undo_each_other(mine: World, manager: Client) -> None:
    SourceAccount.objects.filter(pk=mine.source.pk).update(status_map_version=4)
    page = text_of(manager.get(change_url(mine.source)))
    assert '<input type="hidden" name="map_version" value="4">' in page
    words = {"status_map-0-word": "A", "status_map-0-stream": "order"}
    data = {**SOURCE, "name": "Shop", "map_version": "3", "status_map-0-meaning": "ready", **words}
    answer = manager.post(change_url(mine.source), data)
    assert "Somebody changed these words meanwhile" in errors_of(answer)["status_map"][0]
    assert SourceAccount.objects.get(pk=mine.source.pk).status_map == {}


def test_who_speaks_first_is_a_number(mine: World, manager: Client) -> None:
    saved(manager, mine.source, rank_kitchen="40")
    account = SourceAccount.objects.get(pk=mine.source.pk)
    assert account.priority == {"kitchen": 40}
    typed = {**SOURCE, "name": "Shop", "rank_kitchen": "loud"}
    assert "rank_kitchen" in errors_of(manager.post(change_url(account), typed))
    saved(manager, account, rank_kitchen="")
    assert SourceAccount.objects.get(pk=mine.source.pk).priority == {}


@pytest.mark.parametrize("key", KEYS)
def test_every_source_can_be_added(mine: World, manager: Client, key: str) -> None:
    page = manager.get(add_url(key))
    text = text_of(page)
    setup = registry.source_setup(key)
    for step in setup.steps:
        assert step in text
    assert setup.observes in text
    offered = {
        name: page.context["adminform"].form.initial[f"set_{name}"] for name in setup.invented
    }
    typed = {
        f"set_{one.name}": offered.get(one.name) or one.default or f"https://x.example.com/{n}"
        for n, one in enumerate(registry.source_class(key).settings)
        if one.required or one.name in offered
    }
    data = {**SOURCE, "mode": "sandbox", "restaurant": mine.restaurant.pk, "name": "New", **typed}
    told = {
        f"told_by_source-{state.value}": "source" if state in setup.tells_guest else "we"
        for state in State
    }
    with TestCase.captureOnCommitCallbacks(execute=True):
        answer = manager.post(add_url(key), {**data, **told}, follow=True)
    assert answer.status_code == 200
    account = SourceAccount.objects.get(name="New")
    assert (account.source, account.mode) == (key, "sandbox")
    assert set(account.told_by_source) == setup.tells_guest
    for name, value in offered.items():
        assert account.settings[name] == value
        assert value not in text_of(answer)
    if key != "rest":
        assert f"https://alerts.example.com/hooks/orders/{account.token}/" in text_of(answer)
        assert "Send me a test" in text_of(answer)


def test_an_offered_secret_is_long_and_new_each_time(mine: World, manager: Client) -> None:
    def offered() -> str:
        form = manager.get(add_url("doordash")).context["adminform"].form
        return str(form.initial["set_authorization"])

    first, second = offered(), offered()
    assert first != second
    assert first.startswith("Bearer ")
    assert len(first) > 30
    # a page of a stored account offers and shows nothing
    page = text_of(manager.get(change_url(mine.source)))
    assert "Made for you" not in page
    assert SECRETS[0] not in page


def test_words_of_a_new_source_are_a_version_too(mine: World, manager: Client) -> None:
    data = {
        **SOURCE,
        "restaurant": mine.restaurant.pk,
        "name": "Shop",
        "set_site_url": "https://shop.example.com",
        "set_webhook_secret": "w" * 20,
        "set_completed_means": "by method",
        "set_promise_format": "iso",
        "status_map-0-stream": "order",
        "status_map-0-word": "ready-for-pickup",
        "status_map-0-meaning": "ready",
    }
    assert manager.post(add_url("woocommerce"), data).status_code == 302
    account = SourceAccount.objects.get(name="Shop")
    assert account.status_map == {"order": {"ready-for-pickup": "ready"}}
    (change,) = account.status_map_changes.all()
    assert (change.before, change.after, change.changed_by) == (
        None,
        "ready",
        mine.manager.username,
    )


# --- what the page tells ----------------------------------------------------------------------


def test_the_page_tells_how_it_is_doing(mine: World, manager: Client) -> None:
    text = text_of(manager.get(change_url(mine.source)))
    assert "the signature header is missing" in text
    assert "2, the last one" in text
    assert "unknown state: PLATED" in text
    assert "not possible; a silence longer than usual is alarmed instead" in text
    assert reverse("admin:orders_inboundcall_change", args=[mine.call.pk]) in text


def test_polling_is_told_in_words(mine: World, manager: Client) -> None:
    account = make_source_account(
        mine.restaurant, source="square", settings={"signature_key": "k", "access_token": "t"}
    )

    def page() -> str:
        return text_of(manager.get(change_url(account)))

    assert "Fill in the settings for it below, and lost calls are found." in page()
    account.settings = {**account.settings, "location_ids": "L1"}
    account.save()
    assert "Fill in the settings for it below" not in page()
    account.poll_error = "square answered HTTP 503"
    account.save()
    assert "square answered HTTP 503" in page()


def test_a_live_account_says_how_its_vendor_sends_a_test(
    mine: World, manager: Client, settings: Any
) -> None:
    account = make_source_account(
        mine.restaurant, source="olo", mode="live", settings={"shared_secret": "s"}
    )
    text = text_of(manager.get(change_url(account)))
    assert registry.source_setup("olo").live_test in text
    assert "Send me a test" not in text
    assert "out of reach" not in text
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    text = text_of(manager.get(change_url(account)))
    assert "out of reach" in text
    assert "set PUBLIC_URL to the one they can" in text
    settings.PUBLIC_URL = "http://orders.example.com"
    assert "Most vendors call https:// only" in text_of(manager.get(change_url(account)))


def test_a_verification_code_is_shown_to_be_pasted(mine: World, manager: Client) -> None:
    clear_caches()
    account = make_source_account(
        mine.restaurant, source="clover", settings={"merchant_tokens": "M1=t"}
    )
    body = json.dumps({"verificationCode": "c0de-1234"})
    answer = Client().post(f"/hooks/orders/{account.token}/", body, "application/json")
    assert answer.status_code == 200
    text = text_of(manager.get(change_url(account)))
    assert "verification code c0de-1234: paste it into Clover's dashboard" in text
    # it is told on this page only: it belongs to one account
    assert "c0de-1234" not in text_of(manager.get(change_url(mine.source)))


def test_an_answered_ping_is_shown(mine: World, manager: Client) -> None:
    account = make_source_account(mine.restaurant, source="woocommerce", settings={})
    answered = "the vendor's ping or challenge was answered"
    assert answered not in text_of(manager.get(change_url(account)))
    account.last_handshake_at = timezone.now()
    account.save()
    assert answered in text_of(manager.get(change_url(account)))


def test_marketplaces_are_only_observed(mine: World, manager: Client) -> None:
    account = make_source_account(mine.restaurant, source="uber_eats", settings={})
    text = text_of(manager.get(change_url(account)))
    assert "never accepted, denied or cancelled from here" in text
    assert "never accepted" not in text_of(manager.get(change_url(mine.source)))


# --- words nobody knows -----------------------------------------------------------------------


def words_url() -> str:
    return reverse("admin:orders_sourceaccount_words")


def test_an_unknown_state_is_shown_mapped_and_read_again(
    mine: World, manager: Client, till: Till
) -> None:
    till.post(state="received")
    for order in ("A1", "B2"):
        till.post(order, state="SIMMERING")
    row = UnknownWord.objects.get(account=mine.source)
    lists = reverse("admin:orders_inboundcall_changelist") + "?standing=stuck"
    call = till.call()
    for page in (
        change_url(mine.source),
        lists,
        reverse("admin:orders_inboundcall_change", args=[call.pk]),
    ):
        text = text_of(manager.get(page))
        assert "<code>SIMMERING</code>" in text
        assert "the order (order)" in text
        assert "2 times" in text
        assert f'name="word-{row.pk}"' in text
        assert "says nothing about the state" in text
    assert "SIMMERING</code>" not in text_of(manager.get(lists.partition("?")[0]))
    data = {f"word-{row.pk}": "preparing", "next": lists}
    assert press(manager, words_url(), data) == ["1 word mapped. 2 calls read."]
    assert {o.state for o in Order.objects.filter(display__in=["A1", "B2"])} == {"preparing"}
    account = SourceAccount.objects.get(pk=mine.source.pk)
    assert account.status_map == {"order": {"SIMMERING": "preparing"}}
    (change,) = account.status_map_changes.all()
    assert (change.version, change.changed_by) == (2, mine.manager.username)
    text = text_of(manager.get(change_url(mine.source)))
    assert "Who said what its words mean" in text
    assert "not known" in text
    assert "Words nobody here knows yet" not in text


def test_the_button_leads_back_and_nowhere_else(mine: World, manager: Client) -> None:
    back = reverse("admin:orders_inboundcall_changelist") + "?standing=stuck"
    assert manager.post(words_url(), {"next": back})["Location"] == back
    for foreign in ("https://evil.example.com/", "//evil.example.com/", ""):
        answer = manager.post(words_url(), {"next": foreign}, follow=True)
        assert answer.redirect_chain == [(reverse("admin:orders_sourceaccount_changelist"), 302)]
    assert said(answer) == ["Nothing was chosen."]
    assert manager.get(words_url()).status_code == 405


def test_words_of_others_cannot_be_mapped(mine: World, theirs: World, manager: Client) -> None:
    now = timezone.now()
    row = UnknownWord.objects.create(
        account=theirs.source,
        about="state",
        stream="order",
        word="SECRET_WORD",
        first_seen_at=now,
        last_seen_at=now,
    )
    lists = reverse("admin:orders_inboundcall_changelist") + "?standing=stuck"
    assert "SECRET_WORD" not in text_of(manager.get(lists))
    asked = f"{lists}&account__id__exact={theirs.source.pk}"
    assert "SECRET_WORD" not in text_of(manager.get(asked))
    assert press(manager, words_url(), {f"word-{row.pk}": "ready"}) == ["Nothing was chosen."]
    theirs.source.refresh_from_db()
    assert theirs.source.status_map == {}
    assert UnknownWord.objects.filter(pk=row.pk).exists()
    client = Client()
    assert client.post(words_url(), {}).status_code == 302  # to the login
    url = reverse("admin:orders_sourceaccount_try", args=[theirs.source.pk])
    assert manager.post(url).status_code == 404
    url = reverse("admin:orders_inboundcall_again", args=[theirs.call.pk])
    assert manager.post(url).status_code == 404


def test_an_unknown_kitchen_is_named_with_one_choice(
    mine: World, theirs: World, manager: Client, till: Till
) -> None:
    till.post(state="received", location={"id": "STORE-77"})
    row = UnknownWord.objects.get(account=mine.source)
    text = text_of(manager.get(change_url(mine.source)))
    assert "STORE-77" in text
    assert f'<option value="kitchen-{mine.location.pk}">' in text
    assert f"kitchen-{theirs.location.pk}" not in text
    for refused in (f"kitchen-{theirs.location.pk}", "kitchen-x", "ready"):
        data = {f"word-{row.pk}": refused}
        assert press(manager, words_url(), data) == ["Nothing was chosen."]
    data = {f"word-{row.pk}": f"kitchen-{mine.location.pk}"}
    assert press(manager, words_url(), data) == ["1 word mapped. 1 call read."]
    mine.location.refresh_from_db()
    assert "STORE-77" in mine.location.external_ids
    theirs.location.refresh_from_db()
    assert "STORE-77" not in theirs.location.external_ids
    assert Order.objects.get(display="A1").location == mine.location


@pytest.mark.django_db(transaction=True)
def test_a_corrected_word_moves_open_orders(mine: World, manager: Client, till: Till) -> None:
    till.post(state="SIMMERING")
    row = UnknownWord.objects.get(account=mine.source)
    press(manager, words_url(), {f"word-{row.pk}": "ready"})
    assert Order.objects.get(display="A1").state == "ready"
    words = {
        "map_version": "2",
        "status_map-0-stream": "order",
        "status_map-0-word": "SIMMERING",
        "status_map-0-meaning": "preparing",
    }
    mine.source.refresh_from_db()
    assert "1 call read." in saved(manager, mine.source, **words)
    assert Order.objects.get(display="A1").state == "preparing"
    text = text_of(manager.get(change_url(mine.source)))
    assert re.search(r"<td>Ready</td>\s*<td>Preparing</td>", text)


def test_many_calls_are_read_in_portions(
    mine: World, manager: Client, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.call.delete()
    for number in range(3):
        till.post(f"A{number}", state="SIMMERING")
    SourceAccount.objects.filter(pk=mine.source.pk).update(
        status_map={"order": {"SIMMERING": "ready"}}, status_map_version=2
    )
    monkeypatch.setattr(status_maps, "AT_ONCE", 2)
    url = reverse("admin:orders_inboundcall_changelist")
    every = [str(pk) for pk in InboundCall.objects.values_list("pk", flat=True)]
    data = {"action": "read_again", "_selected_action": every}
    assert press(manager, url, data) == ["2 calls read. 1 more wait: do it once more."]
    assert press(manager, url, data) == ["1 call read."]
    assert press(manager, url, data) == ["None of these needs to be read again."]


# --- the raw call -----------------------------------------------------------------------------


def test_the_raw_call_is_shown_without_people(mine: World, manager: Client, till: Till) -> None:
    till.post(state="SIMMERING", customer={"name": "Ana Silva", "phone": "+12025550143"})
    call = till.call()
    text = text_of(manager.get(reverse("admin:orders_inboundcall_change", args=[call.pk])))
    assert 'state: "SIMMERING"' in text
    assert "phone: ••• 12 characters" in text
    for secret in ("Ana", "2025550143"):
        assert secret not in text
    assert "Read again" in text
    url = reverse("admin:orders_inboundcall_again", args=[call.pk])
    assert press(manager, url) == [
        "0 calls read. 1 still cannot be read; the cause stands beside each."
    ]


# --- who tells the guest ----------------------------------------------------------------------


def test_the_source_tells_and_we_stay_silent(stage: Stage, superuser: Client) -> None:
    told = {"told_by_source-ready": "source", "told_by_source-received": "we"}
    saved(superuser, stage.source, mode="sandbox", **told)
    clear_caches()
    stage.open()
    stage.post(state="ready")
    traces = {
        note.milestone: json.dumps(note.trace)
        for note in Notification.objects.filter(audience="customer", kind="status_changed")
    }
    assert "the source tells the guest this milestone itself" in traces["ready"]
    assert "the source tells" not in traces["received"]
    stage.settle_and_send()
    assert not [text for text in stage.texts() if "ready" in text.lower()]
    page = text_of(superuser.get(change_url(stage.source)))
    assert re.search(r'name="told_by_source-ready" value="source" checked', page)
    assert re.search(r'name="told_by_source-received" value="we" checked', page)


def test_only_what_a_source_can_say_is_asked(mine: World, manager: Client) -> None:
    account = make_source_account(
        mine.restaurant,
        source="lightspeed",
        settings={},
        told_by_source=["delivered"],
        status_map={"order": {"IN_DELIVERY": "out_for_delivery"}},
        seen_states=["ready"],
    )
    text = text_of(manager.get(change_url(account)))
    asked = re.findall(r'type="radio" name="told_by_source-(\w+)" value="we"', text)
    assert asked == ["accepted", "ready", "out_for_delivery", "failed", "cancelled"]
    # what was chosen once is kept though it is not asked
    assert '<input type="hidden" name="told_by_source-delivered" value="source">' in text


# --- a test on demand -------------------------------------------------------------------------


@pytest.fixture
def product(live_server: Any, sandbox: SandboxServer, settings: Any) -> Iterator[None]:
    """The web server on its port, and a worker that fetches what thin events point at."""
    settings.PORT, settings.HOST = live_server.thread.port, "127.0.0.1"
    clear_caches()
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            follow_ups.fetch_due(now=timezone.now())
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    yield
    stop.set()
    worker.join()


@pytest.mark.django_db(transaction=True)
def test_the_button_shows_what_came_of_a_test(product: None, superuser: Client) -> None:
    till = open_till(source="square", settings={"signature_key": "k", "access_token": "t"})
    url = reverse("admin:orders_sourceaccount_try", args=[till.account.pk])
    (words,) = said(superuser.post(url, follow=True))
    order = till.order()
    assert words.startswith("It arrived, was believed and became order ")
    assert reverse("admin:orders_order_change", args=[order.pk]) in words
    assert reverse("admin:orders_inboundcall_change", args=[till.call().pk]) in words
    assert superuser.get(url).status_code == 405
    # the kitchen does not know the name the vendor uses
    till.account.location = None
    till.account.save()
    till.restaurant.locations.update(external_ids=[])
    (words,) = said(superuser.post(url, follow=True))
    assert "unknown location 'LSANDBOX'" in html.unescape(words)
    SourceAccount.objects.update(mode="live")
    (words,) = said(superuser.post(url, follow=True))
    assert words.startswith("No test was sent: In the console open the subscription")


@pytest.mark.django_db(transaction=True)
def test_a_wrong_secret_is_seen_on_the_page(
    product: None, superuser: Client, sandbox: SandboxServer, settings: Any
) -> None:
    till = open_till(source="square", settings={"signature_key": "k", "access_token": "t"})
    # the manager types another key here than the vendor has
    saved(superuser, till.account, mode="sandbox", set_signature_key="another-key")
    clear_caches()
    path = f"/hooks/orders/{till.account.token}/"
    asked = {
        "vendor": "square",
        "settings": {"signature_key": "k", "access_token": "t"},
        "webhook_url": f"https://alerts.example.com{path}",
        "deliver_to": f"http://127.0.0.1:{settings.PORT}{path}",
        "payload": {"type": "order.updated"},
    }
    request = urllib.request.Request(
        f"{sandbox.url}/_sandbox/emit",
        data=json.dumps(asked).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert json.load(answer)["status"] == 401
    text = text_of(superuser.get(change_url(till.account)))
    assert "signature refused" in text
    assert "it has the right form (44 characters), but was made with another key" in text
    assert "another-key" not in text
