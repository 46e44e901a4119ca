"""Records of processing activities (GDPR art. 30), from what is configured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings

from consents import selectors as consent_selectors
from consents.models import Purpose, SenderGroup
from integrations import registry
from notifications.models import ProviderAccount
from orders.models import Restaurant, SourceAccount

#: purpose -> (what for, whose data, which data)
_ACTIVITIES: Mapping[str, tuple[str, str, str]] = {
    Purpose.ORDER_UPDATES: (
        "telling guests how their order comes along",
        "guests",
        "name, language, phone number, mailbox or chat id, order number, lines and times",
    ),
    Purpose.SERVICE_REPLY: (
        "answering what guests write",
        "guests",
        "address, what they wrote, the order it is about",
    ),
    Purpose.SECURITY: ("proving that an address is theirs", "guests", "address, one-time links"),
    Purpose.FEEDBACK: ("asking how it was", "guests who agreed", "address, order number"),
    Purpose.MARKETING: ("offers", "guests who agreed", "name, address"),
    Purpose.STAFF_OPS: (
        "telling the team what needs attention",
        "staff, guests",
        "work address of staff; order number, first name of the guest",
    ),
    Purpose.PARTNER_OPS: (
        "telling partners how an order comes along",
        "partners, guests",
        "company address; order number, first name of the guest",
    ),
}
_MEASURES = (
    "addresses, names, raw calls and credentials are encrypted at rest, keys outside the database",
    "addresses are found by keyed hashes; logs hold hashes only",
    "the consent ledger is append-only, guarded by database triggers, chained and signed nightly",
    "full addresses are masked; every view of one is recorded",
    "erasures are replayed after every restore of a backup",
)


def records(now: datetime) -> list[dict[str, Any]]:
    """One record for each controller, complete enough to be shown to an authority."""
    return [_record(group, now) for group in SenderGroup.objects.order_by("pk")]


def _record(group: SenderGroup, now: datetime) -> dict[str, Any]:
    restaurants = list(Restaurant.objects.filter(sender_group=group).order_by("pk"))
    accounts = list(ProviderAccount.objects.filter(restaurant__in=restaurants, enabled=True))
    sources = SourceAccount.objects.filter(restaurant__in=restaurants, enabled=True)
    countries = sorted({group.country, *(place.country for place in restaurants)})
    channels = sorted({account.channel for account in accounts})
    return {
        "made_at": now.isoformat(),
        "controller": {
            "name": group.name,
            "country": group.country,
            "postal_address": group.postal_address,
            "phone": group.phone,
            "privacy_policy": group.privacy_url,
            "restaurants": [place.name for place in restaurants],
        },
        "activities": [
            {
                "purpose": purpose,
                "what_for": what_for,
                "data_subjects": whose,
                "data": data,
                "lawful_basis": _basis(countries, channels, purpose, now),
            }
            for purpose, (what_for, whose, data) in _ACTIVITIES.items()
        ],
        "recipients": _unique(
            (registry.provider_class(a.provider).title or a.provider, a.channel) for a in accounts
        ),
        "sources": _unique(
            (registry.source_class(a.source).title or a.source, "orders") for a in sources
        ),
        "transfers_to_third_countries": "see the contract with each recipient",
        "retention": retention(),
        "security": list(_MEASURES),
    }


def _basis(
    countries: Iterable[str], channels: Iterable[str], purpose: str, now: datetime
) -> dict[str, dict[str, str]]:
    """What the policy packs in force demand: country -> channel -> basis."""
    packs = consent_selectors.active_packs(now)
    return {
        country: {
            channel: packs.ruling((country,), channel, purpose).required_basis
            for channel in channels
        }
        for country in countries
    }


def _unique(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "for": what} for name, what in sorted(set(pairs))]


def retention() -> dict[str, str]:
    """What is kept, and for how long, from the settings the nightly run applies."""
    return {
        "messages to people": "not kept: made when they leave",
        "messages from people": f"{settings.RETENTION_TEXTS_DAYS} days",
        "deliveries and receipts": f"{settings.RETENTION_DELIVERIES_MONTHS} months",
        "consent ledger and wording": (
            f"the relationship and {settings.RETENTION_LEDGER_YEARS} years"
            f" ({settings.RETENTION_US_OPT_OUT_YEARS} for opt-outs from solicitations in the US)"
        ),
        "proof of consent": f"at most {settings.RETENTION_EVIDENCE_YEARS} years",
        "stops": "until they are lifted, as keyed hashes",
        "links of the portal": f"{settings.RETENTION_PORTAL_HOURS} hours",
        "raw calls of sources": f"{settings.RETENTION_CALLS_DAYS} days",
        "rights requests": f"{settings.RETENTION_RIGHTS_YEARS} years",
        "exports": "7 days",
        "backups": f"{settings.RETENTION_BACKUPS_DAYS} days",
    }


def in_markdown(found: Iterable[Mapping[str, Any]]) -> str:
    """The records as a document for people."""
    return "\n".join(line for record in found for line in _lines(record))


def _lines(record: Mapping[str, Any]) -> list[str]:
    controller = record["controller"]
    facts = (controller[name] for name in ("postal_address", "country", "phone", "privacy_policy"))
    lines = [
        f"# Records of processing: {controller['name']}",
        "",
        ", ".join(fact for fact in facts if fact),
        "",
        f"Restaurants: {', '.join(controller['restaurants']) or 'none'}. Made {record['made_at']}.",
        "",
        "| purpose | what for | whose data | data | lawful basis |",
        "|---|---|---|---|---|",
    ]
    for one in record["activities"]:
        basis = "; ".join(
            f"{country}: {', '.join(f'{way} {what}' for way, what in ways.items())}"
            for country, ways in one["lawful_basis"].items()
        )
        cells = (one["purpose"], one["what_for"], one["data_subjects"], one["data"], basis)
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    for heading, rows in (("Recipients", "recipients"), ("Sources", "sources")):
        lines += ["", f"## {heading}", ""]
        lines += [f"- {_cell(row['name'])} ({row['for']})" for row in record[rows]] or ["None."]
    lines += ["", f"Transfers to third countries: {record['transfers_to_third_countries']}."]
    lines += ["", "## How long", "", "| what | how long |", "|---|---|"]
    lines += [f"| {what} | {term} |" for what, term in record["retention"].items()]
    lines += ["", "## Security", "", *(f"- {measure}" for measure in record["security"]), ""]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
