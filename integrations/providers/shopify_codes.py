"""What Shopify's answers mean. GraphQL says most of it with HTTP 200. Pages are in shopify.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from integrations.contracts import Accepted, HttpResponse
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from integrations.payloads import inner, objects, text

#: seconds until the next try where Shopify names none, and the longest it is believed
_WAIT_S, _LONGEST_WAIT_S = 2.0, 60.0
#: payment due, no access, no such shop, locked, blocked as suspicious
_STOPPED = frozenset({401, 402, 403, 404, 423, 430})
_CONFIGURATION = frozenset({"ACCESS_DENIED", "SHOP_INACTIVE"})
_PASSING = frozenset({"INTERNAL_SERVER_ERROR", "TIMEOUT"})
#: refusals of "prepared for pickup" that say it was prepared before
_PREPARED = frozenset(
    {"NO_LINE_ITEMS_TO_PREPARE_FOR_FULFILLMENT_ORDER", "UNABLE_TO_PREPARE_QUANTITY"}
)
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,59}")
_FIELD = re.compile(r"[A-Za-z0-9_]{1,40}")
#: what a mutation made -> where its id stands
_MADE: Mapping[str, tuple[str, ...]] = {
    "fulfillmentOrderReportProgress": ("fulfillmentOrder",),
    "fulfillmentCreate": ("fulfillment",),
    "fulfillmentTrackingInfoUpdate": ("fulfillment",),
    "fulfillmentEventCreate": ("fulfillmentEvent",),
    "orderCancel": ("job",),
}


def raise_for_status(provider: str, response: HttpResponse) -> None:
    """Raise for the statuses that mean something of their own here."""
    if response.status in _STOPPED:
        raise ConfigurationError(provider, f"the vendor answered HTTP {response.status}")
    if response.status == 429:
        wait_s = response.retry_after_s()
        raise RateLimited(
            provider,
            response,
            retry_after_s=_WAIT_S if wait_s is None else wait_s,
            whole_account=True,
        )


def data_of(provider: str, response: HttpResponse) -> dict[str, Any]:
    """``data`` of a 200; raises for errors, and OutcomeUnknown for what is no GraphQL answer."""
    answer = response.json_object()
    if answer.get("errors"):
        _raise_for_errors(provider, response, answer)
    if not isinstance(answer.get("data"), dict):
        raise OutcomeUnknown(provider, response, detail="no data in the answer")
    return inner(answer, "data")


def order_of(provider: str, response: HttpResponse) -> dict[str, Any]:
    """The order a question was about; MessageRejected where the shop shows none."""
    data = data_of(provider, response)
    if "order" not in data:
        raise OutcomeUnknown(provider, response, detail="no order in the answer")
    if not isinstance(data["order"], dict):
        raise MessageRejected(
            provider, response, vendor_code="NOT_FOUND", detail="the shop shows no such order"
        )
    return inner(data, "order")


def written(provider: str, response: HttpResponse, mutation: str) -> Accepted:
    """The acceptance of ``mutation``, with the id of what it made."""
    data = data_of(provider, response)
    if not isinstance(data.get(mutation), dict):
        raise OutcomeUnknown(provider, response, detail=f"no {mutation} in the answer")
    payload = inner(data, mutation)
    refused = objects(payload.get("userErrors")) + objects(payload.get("orderCancelUserErrors"))
    if refused:
        code = _code(refused[0].get("code"))
        if mutation == "fulfillmentOrderLineItemsPreparedForPickup" and code in _PREPARED:
            return Accepted(detail="was prepared before")
        raise MessageRejected(provider, response, vendor_code=code, detail=_place(refused[0]))
    if mutation not in _MADE:
        return Accepted()
    made = text(inner(payload, *_MADE[mutation]).get("id"))
    if not made:
        raise OutcomeUnknown(provider, response, detail=f"no id from {mutation}")
    return Accepted(made)


def _raise_for_errors(provider: str, response: HttpResponse, answer: Mapping[str, Any]) -> None:
    errors = objects(answer["errors"])
    codes = [_code(inner(error, "extensions").get("code")) for error in errors]
    code = next(filter(None, codes), "")
    if "THROTTLED" in codes:
        raise RateLimited(
            provider,
            response,
            retry_after_s=_wait(answer),
            whole_account=True,  # the points are the app's in this shop
            vendor_code="THROTTLED",
        )
    for found in codes:
        if found in _CONFIGURATION:
            raise ConfigurationError(provider, f"Shopify refused: {found}", vendor_code=found)
    for found in codes:
        if found in _PASSING:
            raise TransientError(provider, response, vendor_code=found)
    raise MessageRejected(provider, response, vendor_code=code)


def _wait(answer: Mapping[str, Any]) -> float:
    """Seconds until the bucket holds what the request costs."""
    cost = inner(answer, "extensions", "cost")
    state = inner(cost, "throttleStatus")
    wanted = _number(cost.get("requestedQueryCost"))
    left, rate = _number(state.get("currentlyAvailable")), _number(state.get("restoreRate"))
    if wanted is None or left is None or not rate:
        return _WAIT_S
    return min(max((wanted - left) / rate, 0.1), _LONGEST_WAIT_S)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 1e9 else None


def _code(value: Any) -> str:
    found = text(value, 60)
    return found if _CODE.fullmatch(found) else ""


def _place(error: Mapping[str, Any]) -> str:
    """Where the trouble is: names of fields only, the sentence may quote the message."""
    listed = error.get("field")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    return "refused: " + (".".join(n for n in names[:6] if _FIELD.fullmatch(n)) or "user error")
