"""Telling vendors' lists what people chose, through real ledger rows and the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from consents import services as consents
from consents.models import ConsentEvent, ConsentState, ContactAddress
from integrations.contracts import HttpRequest
from integrations.http import http_door, run
from notifications import vendor_lists
from notifications.models import ProviderAccount, VendorListPush
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from notifications.tasks import tell_vendor_lists
from tests.factories import make_address, make_provider_account, make_restaurant
from tests.stage import PROVIDERS, Stage

MAILBOX = "ana@example.com"
PHONE = "+12025550143"
SENDGRID = {
    "api_key": "SG.test",
    "from_address": "orders@example.com",
    "unsubscribe_group": "77",
    "shares_lists": "yes",
}


def moment(minutes: float = 0) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def connect(stage: Stage, provider: str, settings: Mapping[str, str]) -> ProviderAccount:
    account = make_provider_account(stage.restaurant, provider=provider, settings=dict(settings))
    register_with_sandbox([account])
    clear_caches()
    return account


def change(account: ProviderAccount, **settings: str) -> None:
    account.settings = {**account.settings, **settings}
    account.save(update_fields=["settings"])
    register_with_sandbox([account])
    clear_caches()


@pytest.fixture
def sendgrid(stage: Stage) -> ProviderAccount:
    return connect(stage, "sendgrid", SENDGRID)


@pytest.fixture
def guest(stage: Stage) -> ContactAddress:
    return make_address(stage.restaurant, channel="email", value=MAILBOX)


def lists(stage: Stage, vendor: str) -> dict[str, list[str]]:
    request = HttpRequest.get(f"{stage.sandbox.url}/_sandbox/{vendor}/lists")
    found = run(http_door().send(request, provider="sandbox")).json_object()["lists"]
    return {name: mailboxes for name, mailboxes in found.items() if mailboxes}


def stop(address: ContactAddress, at: datetime, **more: Any) -> None:
    consents.withdraw(
        **{
            "address_id": address.pk,
            "source": "portal",
            "occurred_at": at,
            "now": at,
            "idempotency_key": f"stop:{address.pk}:{at.isoformat()}",
            **more,
        }
    )


def grant(address: ContactAddress, at: datetime, **more: Any) -> None:
    consents.record_consent(
        **{
            "address_id": address.pk,
            "purpose": "order_updates",
            "action": "granted",
            "source": "portal",
            "occurred_at": at,
            "now": at,
            "idempotency_key": f"grant:{address.pk}:{at.isoformat()}",
            **more,
        }
    )


def lift(address: ContactAddress, at: datetime) -> None:
    consents.lift(
        address_id=address.pk,
        source="portal",
        occurred_at=at,
        now=at,
        idempotency_key=f"lift:{address.pk}:{at.isoformat()}",
    )


def pushes(account: ProviderAccount) -> list[tuple[str, bool, str]]:
    rows = VendorListPush.objects.filter(account=account).order_by("pk")
    return list(rows.values_list("purpose", "is_stopped", "state"))


def test_a_stop_of_order_news_is_about_the_group_and_can_be_taken_back(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    stop(guest, moment(-3), scope="category")
    assert lists(stage, "sendgrid") == {}  # nothing leaves before the commit
    assert tell_vendor_lists() == 1
    assert lists(stage, "sendgrid") == {"group 77": [MAILBOX]}
    grant(guest, moment(-2))
    assert tell_vendor_lists() == 1
    assert lists(stage, "sendgrid") == {}
    assert pushes(sendgrid) == [("order_updates", True, "told"), ("order_updates", False, "told")]
    assert tell_vendor_lists() == 0


def test_a_stop_of_everything_is_global_and_told_to_every_list(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    change(stage.accounts["mailgun"], lists_key="key-account")
    stop(guest, moment(-3))
    assert tell_vendor_lists() == 2
    assert lists(stage, "sendgrid") == {"unsubscribes": [MAILBOX]}
    assert lists(stage, "mailgun") == {"unsubscribes": [MAILBOX]}
    lift(guest, moment(-2))
    while tell_vendor_lists():
        pass
    assert lists(stage, "sendgrid") == {}
    assert lists(stage, "mailgun") == {}
    # the grant that came with the lift was never stopped at the group
    assert ("order_updates", False, "nothing") in pushes(sendgrid)


def test_what_the_person_stopped_at_the_vendor_is_not_lifted(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    run(
        http_door().send(
            HttpRequest.post(
                f"{stage.sandbox.url}/_sandbox/sendgrid/lists",
                json_body={"list": "group 77", "email": MAILBOX},
            ),
            provider="sandbox",
        )
    )
    grant(guest, moment(-1))
    assert tell_vendor_lists() == 0
    assert pushes(sendgrid) == [("order_updates", False, "nothing")]
    assert lists(stage, "sendgrid") == {"group 77": [MAILBOX]}


def test_a_choice_taken_back_before_it_was_told_is_never_told(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    stop(guest, moment(-3), scope="category")
    grant(guest, moment(-2))
    assert [tell_vendor_lists(), tell_vendor_lists()] == [0, 0]
    assert pushes(sendgrid) == [
        ("order_updates", True, "overtaken"),
        ("order_updates", False, "nothing"),
    ]


def test_what_is_nobodys_choice_is_told_to_nobody(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    stop(guest, moment(-5), scope="order:0c1a5f0e-77aa-4c57-9a3e-000000000077")
    grant(guest, moment(-4), source="checkout", actor_type="vendor")  # hearsay
    stop(guest, moment(-3), reason="carrier", actor_type="vendor")
    assert ConsentEvent.objects.count() == 3
    assert pushes(sendgrid) == []
    other = make_address(make_restaurant(), channel="email", value=MAILBOX)
    stop(other, moment(-2))  # another seller's guest
    assert pushes(sendgrid) == []


def test_marketing_alone_has_no_list_here(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    stop(guest, moment(-3), scope="category", purpose="marketing")
    assert tell_vendor_lists() == 0
    assert pushes(sendgrid) == [("marketing", True, "nothing")]
    assert lists(stage, "sendgrid") == {}


def test_a_ledger_row_told_twice_is_one_row(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    at = moment(-3)
    for _ in range(2):
        stop(guest, at)
    vendor_lists.note_choices(ConsentEvent.objects.all())
    assert len(pushes(sendgrid)) == 1


def test_a_vendor_out_of_order_is_told_later(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    stage.fault(vendor="sendgrid", kind="500", times=1)
    stop(guest, moment(-3))
    assert tell_vendor_lists() == 0
    [push] = VendorListPush.objects.filter(account=sendgrid)
    assert (push.state, push.tries) == ("waiting", 1)
    assert "HTTP 500" in push.last_error
    assert MAILBOX not in push.last_error
    assert tell_vendor_lists() == 0  # not yet
    assert vendor_lists.push_choices(moment(+2)) == 1
    push.refresh_from_db()
    assert (push.state, push.last_error) == ("told", "")
    assert lists(stage, "sendgrid") == {"unsubscribes": [MAILBOX]}


def test_a_page_of_something_in_between_has_told_nobody(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    stage.fault(vendor="sendgrid", kind="html", status=200, times=1)
    stop(guest, moment(-3))
    assert tell_vendor_lists() == 0
    [push] = VendorListPush.objects.filter(account=sendgrid)
    assert (push.state, push.tries) == ("waiting", 1)
    assert "a page instead of an answer" in push.last_error
    assert lists(stage, "sendgrid") == {}
    assert vendor_lists.push_choices(moment(+5)) == 1
    assert lists(stage, "sendgrid") == {"unsubscribes": [MAILBOX]}


def test_a_later_choice_waits_for_the_earlier_one(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    stage.fault(vendor="sendgrid", kind="500", times=1)
    stop(guest, moment(-3))
    tell_vendor_lists()
    stop(guest, moment(-2), scope="category")
    assert tell_vendor_lists() == 0
    assert [vendor_lists.push_choices(moment(+2)) for _ in range(2)] == [1, 1]


def test_a_key_without_the_right_is_refused_in_the_end(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    ProviderAccount.objects.filter(pk=sendgrid.pk).update(
        settings={**SENDGRID, "api_key": "SG.revoked"}
    )
    clear_caches()
    stop(guest, moment(-3))
    now = moment()
    for _ in range(len(vendor_lists.PAUSES_S) + 1):
        assert vendor_lists.push_choices(now) == 0
        now += timedelta(days=2)
    [push] = VendorListPush.objects.filter(account=sendgrid)
    assert (push.state, push.tries) == ("refused", len(vendor_lists.PAUSES_S) + 1)
    assert "401" in push.last_error
    sendgrid.refresh_from_db()
    assert sendgrid.stopped_reason == ""  # messages go on


@pytest.mark.parametrize("how", [{"enabled": False}, {"stopped_reason": "credentials refused"}])
def test_an_account_out_of_use_is_told_when_it_is_back(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress, how: dict[str, Any]
) -> None:
    stop(guest, moment(-3))
    ProviderAccount.objects.filter(pk=sendgrid.pk).update(**how)
    clear_caches()
    assert tell_vendor_lists() == 0
    [push] = VendorListPush.objects.filter(account=sendgrid)
    assert (push.state, push.tries) == ("waiting", 0)
    ProviderAccount.objects.filter(pk=sendgrid.pk).update(enabled=True, stopped_reason="")
    clear_caches()
    assert vendor_lists.push_choices(moment(+61)) == 1


@pytest.mark.parametrize("is_toll_free", [False, True])
def test_14_a_text_stop_blocks_the_sender_at_twilio_until_it_is_told_otherwise(
    stage: Stage, is_toll_free: bool
) -> None:
    """The network keeps the block of a toll-free number: there only the handset lifts it."""
    twilio = stage.accounts["twilio"]
    sender = "+18885550100" if is_toll_free else PROVIDERS["twilio"]["sender"]
    change(twilio, tells_consents="yes", sender=sender)
    phone = make_address(stage.restaurant, value=PHONE)
    stop(phone, moment(-4), scope="category")  # the block would stop more than that
    assert tell_vendor_lists() == 0
    stop(phone, moment(-3))
    assert tell_vendor_lists() == 1
    form = {"To": PHONE, "From": sender, "Body": "Ready"}
    sid = PROVIDERS["twilio"]["account_sid"]
    text = HttpRequest.post(
        f"{stage.sandbox.url}/twilio/2010-04-01/Accounts/{sid}/Messages.json",
        form=form,
        auth=(sid, PROVIDERS["twilio"]["auth_token"]),
    )
    assert run(http_door().send(text, provider="twilio")).json_object()["code"] == 21610
    lift(phone, moment(-2))
    assert carrier_blocks(phone) == {"pending"}
    while tell_vendor_lists():
        pass
    blocked = run(http_door().send(text, provider="twilio")).status == 400
    states = [(purpose, state) for purpose, _, state in pushes(twilio)]
    end = "nothing" if is_toll_free else "told"
    assert states[:3] == [("order_updates", "nothing"), ("", "told"), ("", end)]
    assert blocked == is_toll_free
    assert carrier_blocks(phone) == ({"pending"} if is_toll_free else {""})


def carrier_blocks(address: ContactAddress) -> set[str]:
    found = ConsentState.objects.filter(address_hash=address.address_hash, state="granted")
    return set(found.values_list("carrier_block", flat=True))


def test_an_item_twilio_refuses_is_written_down(stage: Stage) -> None:
    twilio = stage.accounts["twilio"]
    change(twilio, tells_consents="yes")
    ProviderAccount.objects.filter(pk=twilio.pk).update(
        settings={**twilio.settings, "sender": "+12025550199"}
    )
    clear_caches()
    stop(make_address(stage.restaurant, value=PHONE), moment(-3))
    assert tell_vendor_lists() == 0
    [push] = VendorListPush.objects.filter(account=twilio)
    assert (push.state, "30646" in push.last_error) == ("refused", True)


def test_one_process_tells(stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress) -> None:
    stop(guest, moment(-3))
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [vendor_lists._LOCK])
            assert tell_vendor_lists() == 0
            cursor.execute("SELECT pg_advisory_unlock(%s)", [vendor_lists._LOCK])
    finally:
        other.close()
    assert tell_vendor_lists() == 1


# --- forgetting -----------------------------------------------------------------------------------

KLAVIYO = {"api_key": "pk_test"}


def test_a_person_is_forgotten_wherever_they_may_be_known(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    klaviyo = connect(stage, "klaviyo", KLAVIYO)
    ProviderAccount.objects.filter(pk=klaviyo.pk).update(enabled=False)
    clear_caches()
    found = {one.account_id: one.state for one in vendor_lists.erase_at_vendors(guest)}
    assert found == {
        klaviyo.pk: "erased",
        sendgrid.pk: "nothing",
        stage.accounts["mailgun"].pk: "nothing",
    }


def test_a_vendor_that_does_not_answer_has_to_be_asked_again(
    stage: Stage, guest: ContactAddress
) -> None:
    klaviyo = connect(stage, "klaviyo", KLAVIYO)
    stage.fault(vendor="klaviyo", kind="503", times=1)
    for state in ("failed", "erased"):
        [one] = [e for e in vendor_lists.erase_at_vendors(guest) if e.account_id == klaviyo.pk]
        assert one.state == state
        assert MAILBOX not in one.problem
