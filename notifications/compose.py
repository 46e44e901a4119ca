"""From a claimed row to the message that leaves: words, links and data, all from now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import translation
from django.utils.html import format_html_join
from django.utils.translation import gettext

from consents.encryption import decrypt
from integrations.contracts import Channel, Message
from notifications import context, links, rendering, routing
from notifications.claims import Row
from notifications.selectors import AccountView, RestaurantConfig, TemplateView, webhook_url

#: purposes whose words never go out under another one's consent
PROMOTIONAL = frozenset({"marketing", "feedback"})

#: what a template that ends its own mails names
_STOP_LINK = "links.unsubscribe"


class NoWords(Exception):
    """No message template covers this trigger, audience and channel."""


def facts_of(row: Row, config: RestaurantConfig) -> context.MessageFacts:
    """The values the templates of this message may use."""
    place = config.locations.get(row.location_id or 0)
    name = decrypt(bytes(row.name_token)).decode() if row.name_token else ""
    detail = row.detail
    courier = detail.get("courier") or {}
    return context.MessageFacts(
        order=context.OrderFacts(
            id=str(row.order_public_id or ""),
            number=row.display,
            state=row.order_state or "",
            fulfillment=row.fulfillment or "",
            is_scheduled=bool(row.is_scheduled),
            promised_at=row.promised_at,
            est_ready_at=row.est_ready_at,
            est_delivery_at=row.est_delivery_at,
            expected_at=row.expected_at,
            reason=str((detail.get("reason") or {}).get("text") or ""),
            courier_name=str(courier.get("name") or ""),
            tracking_url=str(courier.get("tracking_url") or ""),
            source=str(detail.get("source") or ""),
            flags=row.flags,
            parts=row.parts,
            items=row.items,
        ),
        restaurant_name=config.name,
        restaurant_phone=config.phone,
        location_name=place.name if place else config.name,
        timezone=place.timezone if place else config.timezone,
        event_kind=row.kind,
        milestone=row.milestone,
        event_data=row.event_data,
        also=[told["sentence"] for told in row.merged if told.get("sentence")],
        first_name=name.split(" ")[0] if name else "",
        language=_language(row, config),
        order_url=links.order_url(row.order_public_id),
        manage_url=links.manage_url(config.slug) if row.address_public_id else "",
        acknowledge_url=_acknowledge_url(row),
    )


def _acknowledge_url(row: Row) -> str:
    return links.acknowledge_url(row.notification_id) if row.audience != "customer" else ""


def _language(row: Row, config: RestaurantConfig) -> str:
    # whoever asked for a link asked in the language of the page
    said = row.milestone.rpartition(":")[2] if row.kind == links.KIND else row.locale
    return (said or config.language or "en").replace("_", "-").partition("-")[0].lower()


def words(row: Row, config: RestaurantConfig) -> TemplateView:
    """The message template for this row; raises NoWords."""
    trigger = "held" if row.held else routing.trigger_of(row.kind, row.milestone)
    found = config.template(
        trigger=trigger,
        audience=row.audience,
        channel=row.channel,
        language=_language(row, config),
        location_id=row.location_id,
    )
    if found is None:
        raise NoWords(f"no template for {trigger}, {row.audience}, {row.channel}")
    if found.purpose in PROMOTIONAL and row.purpose not in PROMOTIONAL:
        # one coupon makes the whole message marketing, and marketing needs a consent of its own
        raise NoWords(f"the words for {trigger} are {found.purpose}, the message is not")
    return found


def message(
    row: Row, *, config: RestaurantConfig, account: AccountView, attempt_id: UUID, now: datetime
) -> tuple[Message, TemplateView]:
    """The message of one attempt; raises NoWords, TemplateInvalid or links.LinkGone."""
    template = words(row, config)
    facts = replace(
        facts_of(row, config),
        unsubscribe_url=links.unsubscribe_url(row, attempt_id),
        confirm_url=links.confirm_url(row, config.id, now),
    )
    values = context.build(facts, now)
    said = rendering.render(
        text=template.text, subject=template.subject, html=template.html, context=values
    )
    text = said.text
    if facts.also and "event.also" not in template.text:
        text = f"{text} {values['event']['also']}"
    html = said.html
    if row.channel == Channel.EMAIL:
        text, html = _with_way_out(text, html, template, values["links"], facts.language)
    made = Message(
        attempt_id=str(attempt_id),
        channel=Channel(row.channel),
        to=decrypt(bytes(row.address_token)).decode() if row.address_token else "",
        text=text,
        event_kind=row.kind,
        milestone=row.milestone,
        purpose=row.purpose,
        subject=said.subject or _subject(values),
        html=html,
        valid_for_s=max(1, int((row.expires_at - now).total_seconds())),
        language=facts.language,
        vendor_template=template.vendor_template,
        variables=_variables(values),
        order=_order_data(values, row),
        event={
            **values["event"],
            "id": str(row.notification_id),
            "part": row.part_ref or "",
            # what is about no event happened when it was decided
            "occurred_at": _iso(row.occurred_at or row.created_at),
        },
        restaurant={**values["restaurant"], "id": str(config.id), "timezone": facts.timezone},
        recipient={"first_name": facts.first_name, "audience": row.audience},
        links={name: url for name, url in values["links"].items() if url},
        callback_url=f"{webhook_url(account.token)}?a={attempt_id}",
        thread_key=f"order-{row.order_public_id}" if row.order_public_id else "",
        replaces_vendor_id=row.earlier_id,
        window_open=row.window_until is not None and row.window_until > now,
        source_order_id=row.source_order_id,
        delivery_key=str(row.id),
        urgent=row.is_urgent,
    )
    return made, template


def _with_way_out(
    text: str, html: str, template: TemplateView, urls: Mapping[str, str], language: str
) -> tuple[str, str]:
    """A mail says how to end it, also to whoever does not see the button of their mail program.

    Words that say it themselves, by ``links.unsubscribe``, stay as their author wrote them.
    """
    if not urls["unsubscribe"]:
        return text, html
    with translation.override(language):
        ways = {
            gettext("Stop these e-mails"): urls["unsubscribe"],
            gettext("All your choices"): urls["manage"],
        }
    if _STOP_LINK not in template.text:
        text = f"{text}\n\n" + "\n".join(f"{words}: {url}" for words, url in ways.items())
    if html and _STOP_LINK not in template.html:
        links_in_html = format_html_join(" · ", '<a href="{1}">{0}</a>', ways.items())
        html = f"{html}<p>{links_in_html}</p>"
    return text, html


def _subject(values: dict[str, Any]) -> str:
    order = values["order"]
    return f"Order {order['number']}: {order['state_label']}" if order["number"] else ""


def _order_data(values: dict[str, Any], row: Row) -> dict[str, Any]:
    return {
        **values["order"],
        "parts": values["parts"],
        "courier": values["courier"],
        "location": values["location"]["name"],
        "est_ready_at": _iso(row.est_ready_at),
        "est_delivery_at": _iso(row.est_delivery_at),
        "promised_at": _iso(row.promised_at),
    }


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""


def _variables(values: dict[str, Any]) -> dict[str, str]:
    """Flat names for vendor-side templates."""
    order, parts, event = values["order"], values["parts"], values["event"]
    return {
        "restaurant": values["restaurant"]["name"],
        "order": order["number"],
        "status": order["state_label"],
        "state": order["state"],
        "eta": order["eta_time"],
        "eta_in": order["eta_in"],
        "parts_ready": str(parts["ready"]),
        "parts_total": str(parts["total"]),
        "change": event["change"],
        "name": values["customer"]["first_name"],
        "link": values["links"]["order"],
    }
