"""What managers do: save words, routes and accounts, test them, decide about dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from integrations import http, registry
from integrations.contracts import Accepted, Channel, HttpRequest, Message
from integrations.errors import ConfigurationError, IntegrationError
from notifications import outbox, rendering
from notifications.dispatch import send_directly
from notifications.models import (
    Delivery,
    DeliveryState,
    MessageTemplate,
    MessageTemplateVersion,
    ProviderAccount,
)
from notifications.selectors import account_view, clear_caches, provider_for, webhook_url

#: a replayed message stays worth sending at least this long
REPLAY_LIFE = timedelta(minutes=30)


def save_template_version(
    *,
    template: MessageTemplate,
    text: str,
    subject: str = "",
    html: str = "",
    created_by_id: int | None = None,
) -> MessageTemplateVersion:
    """Store new words after rendering them against the sample; raises TemplateInvalid.

    Unchanged words make no new version.
    """
    rendering.check(
        text=text,
        subject=subject,
        html=html,
        trigger=template.trigger,
        language=template.language,
        purpose=template.purpose,
    )
    with transaction.atomic():
        MessageTemplate.objects.select_for_update().get(pk=template.pk)
        newest = template.versions.order_by("-number").first()
        if newest and (newest.text, newest.subject, newest.html) == (text, subject, html):
            return newest
        number = (template.versions.aggregate(last=Max("number"))["last"] or 0) + 1
        version = MessageTemplateVersion.objects.create(
            template=template,
            number=number,
            text=text,
            subject=subject,
            html=html,
            created_by_id=created_by_id,
        )
    clear_caches()
    return version


def save_account(*, account: ProviderAccount, values: Mapping[str, str]) -> ProviderAccount:
    """Save an account with its declared settings; raises ConfigurationError naming what is missing.

    A secret left empty keeps its stored value. Saving clears a stop: the manager mended it.
    """
    provider = registry.provider_class(account.provider)
    stored = account.settings or {}
    merged = dict(stored)
    for setting in provider.settings:
        value = values.get(setting.name, "")
        if value or not setting.secret:
            merged[setting.name] = value or merged.get(setting.name, "") or setting.default
    provider(merged, base_url="http://127.0.0.1")
    account.settings = merged
    account.channel = provider.channel
    account.stopped_reason, account.stopped_at, account.open_until = "", None, None
    if account._state.adding or merged != stored:
        account.save()
    else:  # encrypted anew they would look changed to the books (config/models.py)
        columns = [f.name for f in ProviderAccount._meta.concrete_fields if not f.primary_key]
        account.save(update_fields=[name for name in columns if name != "settings"])
    clear_caches()
    if account.mode == "sandbox":
        register_with_sandbox([account])
    transaction.on_commit(lambda: outbox.ring([account.pk]))
    return account


def register_with_sandbox(accounts: Iterable[ProviderAccount]) -> int:
    """Tell the sandbox which sandbox accounts exist; returns how many it took. Absent is fine."""
    taken = 0
    for account in accounts:
        request = HttpRequest.post(
            f"{settings.SANDBOX_URL}/_sandbox/accounts",
            json_body={
                "vendor": account.provider,
                "settings": account.settings,
                "webhook_url": webhook_url(account.token),
                "deliver_to": f"http://{_local_host()}:{settings.PORT}"
                f"/hooks/messages/{account.token}/",
            },
        )
        try:
            answer = http.run(http.http_door().send(request, provider="sandbox"))
        except IntegrationError:
            return taken
        taken += answer.status == 200
    return taken


def _local_host() -> str:
    return "127.0.0.1" if settings.HOST in ("0.0.0.0", "::") else settings.HOST  # noqa: S104


def test_account(*, account: ProviderAccount, to: str) -> Accepted:
    """Send one plain test message; raises the errors of integrations.errors."""
    provider = registry.provider_class(account.provider)
    if not to and not provider.capabilities.account_is_address:
        raise ConfigurationError(account.provider, "a test needs an address to send to")
    if account.mode == "sandbox":
        register_with_sandbox([account])
    accepted = send_directly(
        account_view(account),
        Message(
            attempt_id=str(uuid4()),
            channel=Channel(provider.channel),
            to=to,
            subject="Test from Order Up",
            text="This is a test from Order Up. If you can read it, this account works.",
            event_kind="test",
            callback_url=webhook_url(account.token),
            valid_for_s=600,
        ),
    )
    clear_caches()
    return accepted


test_account.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test


def set_up_gaps(account: ProviderAccount) -> list[str]:
    """What the manager has still to do at the vendor, a sentence each; asks the vendor."""
    try:
        provider = provider_for(account_view(account))
        request = provider.set_up_request()
        if request is None:
            return []
        return provider.set_up_gaps(http.run(provider.exchange(request, http.http_door())))
    except (IntegrationError, ConfigurationError) as error:
        return [f"What is set up at the vendor could not be seen ({error})."]


def check_account(account: ProviderAccount) -> str:
    """ "" when the account's settings are complete, else what is missing."""
    try:
        provider_for(account_view(account))
    except ConfigurationError as error:
        return error.detail
    return ""


def replay_deliveries(
    *, delivery_ids: Iterable[int], actor: str, now: datetime | None = None
) -> int:
    """Send dead letters again by a person's decision; consent is asked afresh at sending.

    Rows overtaken by a withdrawal are left alone. Returns how many were queued.
    """
    now = now or datetime.now(UTC)
    queued = 0
    accounts: set[int] = set()
    for delivery in Delivery.objects.filter(
        pk__in=list(delivery_ids),
        state__in=[DeliveryState.FAILED, DeliveryState.UNKNOWN, DeliveryState.EXPIRED],
        overtaken_by_withdrawal=False,
    ):
        queued += Delivery.objects.filter(pk=delivery.pk, state=delivery.state).update(
            state=DeliveryState.QUEUED,
            reason="replayed",
            due_at=now,
            expires_at=max(delivery.expires_at, now + REPLAY_LIFE),
            resent_by=actor[:150],
            settled_at=None,
        )
        accounts.add(delivery.account_id)
    outbox.ring_on_commit(accounts)
    return queued


def settings_of(account: ProviderAccount) -> list[dict[str, Any]]:
    """The declared settings with their values, secrets masked: what forms and commands show."""
    shown = []
    for setting in registry.provider_class(account.provider).settings:
        value = (account.settings or {}).get(setting.name, "")
        shown.append(
            {
                "name": setting.name,
                "label": setting.label or setting.name.replace("_", " "),
                "value": ("•" * 6 if value else "") if setting.secret else value,
                "is_secret": setting.secret,
                "is_set": bool(value),
                "required": setting.required,
                "help": setting.help,
                "choices": setting.choices,
            }
        )
    return shown
