"""Whether a flow listens to the metric our events have."""

from __future__ import annotations

from urllib.parse import urlencode

from integrations.contracts import HttpResponse
from integrations.payloads import inner, objects, text

QUERY = urlencode(
    {
        "include": "flow-triggers",
        "fields[metric]": "name",
        "fields[flow]": "name,status,archived",
    }
)


def gaps(response: HttpResponse, metric: str) -> list[str]:
    """What is missing, a sentence each. Of more than a page of metrics nothing is claimed."""
    answer = response.json_object()
    live = {
        text(flow.get("id"))
        for flow in objects(answer.get("included"))
        if inner(flow, "attributes").get("status") == "live"
        and inner(flow, "attributes").get("archived") is not True
    }
    found = [
        each
        for each in objects(answer.get("data"))
        if text(inner(each, "attributes").get("name")) == metric
    ]
    if not found:
        if text(inner(answer, "links").get("next")):
            return []
        return [
            f"Klaviyo does not know the metric “{metric}” yet. It does a moment after the first "
            "event: then build a flow that starts on it."
        ]
    listening = {
        text(flow.get("id"))
        for each in found
        for flow in objects(inner(each, "relationships", "flow-triggers").get("data"))
    }
    if listening & live:
        return []
    return [f"No live flow starts on the metric “{metric}”: nobody is told anything."]
