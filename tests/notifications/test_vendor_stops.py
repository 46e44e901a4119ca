"""Who stopped at a vendor is read into the ledger, and no odd answer lets anybody slip through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from consents.models import ContactAddress, Suppression
from integrations.contracts import HttpRequest
from integrations.http import http_door, run
from notifications.models import ProviderAccount, VendorListPosition
from notifications.selectors import clear_caches
from notifications.services import register_with_sandbox
from notifications.vendor_stops import AGAIN_AFTER, EVERY, FIRST_REACH, OVERLAP, read_list
from tests.factories import make_address, make_provider_account
from tests.stage import Stage

MAILBOX = "ana@example.com"


@pytest.fixture
def sendgrid(stage: Stage) -> ProviderAccount:
    settings = {
        "api_key": "SG.test",
        "from_address": "orders@example.com",
        "unsubscribe_group": "77",
        "shares_lists": "yes",
    }
    account = make_provider_account(stage.restaurant, provider="sendgrid", settings=settings)
    register_with_sandbox([account])
    clear_caches()
    return account


@pytest.fixture
def guest(stage: Stage) -> ContactAddress:
    return make_address(stage.restaurant, channel="email", value=MAILBOX)


def unsubscribe(stage: Stage, mailbox: str = MAILBOX) -> None:
    """The person presses the vendor's own link."""
    url = f"{stage.sandbox.url}/_sandbox/sendgrid/lists"
    said = {"list": "unsubscribes", "email": mailbox}
    run(http_door().send(HttpRequest.post(url, json_body=said), provider="sandbox"))


def read(account: ProviderAccount, now: datetime) -> VendorListPosition:
    position = read_list(account_id=account.pk, now=now)
    assert position is not None
    return position


def test_a_stop_at_the_vendor_is_a_stop_here(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress
) -> None:
    unsubscribe(stage)
    unsubscribe(stage, "nobody@example.com")
    now = datetime.now(UTC)
    position = read(sendgrid, now)
    assert (position.recorded, position.unknown, position.last_error) == (1, 1, "")
    assert (position.since, position.next_at) == (now - OVERLAP, now + EVERY)
    assert Suppression.objects.get().channel == "email"
    assert read_list(account_id=sendgrid.pk, now=now) is None  # read for today
    assert read(sendgrid, now + EVERY).recorded == 0
    assert Suppression.objects.count() == 1


@pytest.mark.parametrize(
    "fault", [{"kind": "html", "status": 200}, {"kind": "500"}, {"kind": "disconnect"}]
)
def test_an_answer_that_is_no_list_is_asked_for_again(
    stage: Stage, sendgrid: ProviderAccount, guest: ContactAddress, fault: dict[str, object]
) -> None:
    """The moment the list is asked from stays, or who stopped before it would be missed."""
    unsubscribe(stage)
    stage.fault(vendor="sendgrid", times=1, **fault)
    now = datetime.now(UTC)
    position = read(sendgrid, now)
    assert position.last_error.startswith("sendgrid · ")
    assert (position.recorded, Suppression.objects.count()) == (0, 0)
    assert abs(position.since - (now - FIRST_REACH)) < timedelta(seconds=1)
    assert position.next_at == now + AGAIN_AFTER
    position = read(sendgrid, now + AGAIN_AFTER)
    assert (position.recorded, position.last_error) == (1, "")
    assert Suppression.objects.get().channel == "email"
