"""Declared settings of an account: the admin form, encryption and the docs come from these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Channel(StrEnum):
    """The kind of address a message goes to."""

    SMS = "sms"
    EMAIL = "email"
    WHATSAPP = "whatsapp"
    MESSENGER = "messenger"
    TELEGRAM = "telegram"
    PUSH = "push"
    WEB_PUSH = "web_push"
    REALTIME = "realtime"
    TEAM_CHAT = "team_chat"
    CRM = "crm"
    HELPDESK = "helpdesk"
    COMMERCE = "commerce"
    AUTOMATION = "automation"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value an account needs. Secrets are shown masked and never logged."""

    name: str
    label: str = ""
    secret: bool = False
    required: bool = True
    default: str = ""
    help: str = ""
    choices: tuple[str, ...] = ()
    #: a made-up value in the vendor's form: the form's placeholder, and what ``show_request``
    #: and the sandbox use where nobody typed anything
    example: str = ""
    #: the value is a URL a person typed: requests to it pass the SSRF guard
    is_url: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do; planning, dispatch and the docs read it."""

    receipts: bool = False
    #: the vendor calls nobody: receipts are read from a stream (``Provider.stream_request``)
    stream: bool = False
    replies: bool = False
    #: the vendor drops a second request with the same key
    idempotency_key: bool = False
    #: the vendor can be asked whether an attempt arrived (``Provider.look_up``)
    look_up: bool = False
    #: the vendor can change a message it already has
    edit: bool = False
    #: longest text in characters; 0 = no practical limit
    max_chars: int = 0
    #: requests per second one account may make; 0 = no limit known
    rate_per_s: float = 0.0
    #: seconds before try 2, 3, ... where its news lives longer or shorter than others'; () = the
    #: usual ones
    retry_s: tuple[float, ...] = ()
    #: the destination is part of the account (a chat webhook), not an address of a person
    account_is_address: bool = False
    #: its addresses (chats, page-scoped ids, devices) mean something at the one account only
    own_addresses: bool = False
    #: seconds for which words of a person let us answer them freely; 0 = there is no such rule
    window_s: int = 0
    #: vendor template name and variables are needed to start a conversation
    vendor_templates: bool = False
