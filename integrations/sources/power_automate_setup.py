"""How a manager connects a flow of Microsoft Power Automate."""

from __future__ import annotations

from integrations.contracts import Setup

SETUP = Setup(
    steps=(
        "In Power Automate make a flow that starts when a row or item is added or modified, in "
        "Dataverse or SharePoint. Let it watch the status column only.",
        "Add the action HTTP (premium): method POST, the address from this page as URI.",
        "Headers: Content-Type application/json, and Authorization with Bearer, a blank and the "
        "key entered here. Switch on Secure inputs in the action's settings.",
        "Body: JSON with record_id, number, status, modified_at and customer (name, phone, email). "
        "change is created or updated. Further members are ignored.",
        "Save and change a record. Words for states we do not know show up here: say what each "
        "one means.",
    ),
    live_test="Change the status of a record in the other system, or run the flow by hand.",
    invented={"secret": "{}"},
    streams={"order": "the record"},
    tells_note="Whether the other system or the flow writes to guests is for you to know.",
)
