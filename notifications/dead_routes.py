"""Routes that wait for a state nobody ever states: shown calmly, with the cure."""

from __future__ import annotations

from collections.abc import Collection

from integrations.contracts import State
from notifications import routing
from notifications.models import Route
from orders.phrases import TRAVELLING
from orders.selectors import states_that_arrive, ways_out

_TRAVELS = frozenset({State.OUT_FOR_DELIVERY, State.DELIVERED})


def dead_routes(restaurant_id: int) -> dict[int, list[str]]:
    """Enabled routes of one restaurant -> the states they wait for in vain. 4 queries."""
    routes = Route.objects.filter(restaurant_id=restaurant_id, enabled=True)
    return routing.dead_triggers(routes, _expected(restaurant_id))


def _expected(restaurant_id: int) -> Collection[str]:
    """States that arrive, and those no order here could reach: nobody misses them."""
    states, ways = states_that_arrive(restaurant_id), ways_out(restaurant_id)
    if not states or not ways:
        return states
    if not ways & TRAVELLING:
        states |= _TRAVELS
    if ways <= TRAVELLING:
        states |= {State.PICKED_UP}
    return states
