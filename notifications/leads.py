"""Staff who must be reached (shift leads) and whom nothing reaches any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from consents.models import Purpose, Subject, SubjectAddress, SubjectKind
from consents.selectors import load_snapshots
from notifications import why
from notifications.selectors import restaurant_config
from orders.models import Restaurant

_MOST = 50
_STAFF_NEWS = why.Question(Purpose.STAFF_OPS, audience="staff")


@dataclass(frozen=True, slots=True)
class SilentLead:
    """Somebody in a role that must be reached, whose every own address is closed to us."""

    subject_id: UUID
    name: str


def silent_leads(restaurant_ids: Sequence[int], now: datetime) -> list[SilentLead]:
    """The leads of these restaurants that no staff message may reach now. 1 query without leads.

    Work chats go on whatever a person chose: they are accounts of the restaurant, not addresses.
    A message that only waits for the end of somebody's quiet hours counts as reaching them.
    """
    leads = list(
        Subject.objects.filter(
            kind=SubjectKind.STAFF,
            must_be_reached=True,
            sender_group__restaurant__in=restaurant_ids,
        ).distinct()[:_MOST]
    )
    if not leads:
        return []
    places = Restaurant.objects.filter(pk__in=restaurant_ids).order_by("-pk")
    restaurant_of = dict(places.values_list("sender_group_id", "pk"))
    links = SubjectAddress.objects.filter(subject__in=leads)
    snapshots = load_snapshots(links.values_list("subject_id", "address_id"))
    silent = []
    for lead in leads:
        config = restaurant_config(restaurant_of[lead.sender_group_id])
        verdicts = {
            why.decide_now(_STAFF_NEWS, seen, config=config, now=now).verdict
            for (subject_id, _address), seen in snapshots.items()
            if subject_id == lead.pk
        }
        if verdicts <= {"drop"}:
            silent.append(SilentLead(lead.pk, lead.name or str(lead.pk)[:8]))
    return silent
