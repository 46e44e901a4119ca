"""The settings of a HubSpot account, and what makes no sense among them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from integrations.contracts import Setting
from integrations.errors import ConfigurationError

_EVENT_NAME = re.compile(r"pe[0-9]+_[a-z0-9_]{1,90}")
_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,40}")
_VERSION = re.compile(r"20[0-9]{2}-[0-9]{2}")
_NUMBERS = ("email_id", "subscription_id", "marketing_subscription_id", "portal_id")
LEGAL_BASES = (
    "",
    "PERFORMANCE_OF_CONTRACT",
    "CONSENT_WITH_NOTICE",
    "LEGITIMATE_INTEREST_CLIENT",
    "LEGITIMATE_INTEREST_OTHER",
    "NON_GDPR",
)

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "access_token",
        label="Access token",
        secret=True,
        required=False,
        help="of a private app: pat-...",
        example="pat-na1-00000000-0000-4000-8000-000000000000",
    ),
    Setting(
        "method",
        label="How the workflow is started",
        required=False,
        default="property",
        choices=("property", "event", "single_send"),
        help="a contact's properties change (any tier), a custom event (Enterprise), or a mail of "
        "HubSpot's by single-send (transactional e-mail add-on)",
    ),
    Setting(
        "property_prefix",
        label="Prefix of the contact properties",
        required=False,
        default="last_order_",
    ),
    Setting(
        "event_name",
        label="Custom event",
        required=False,
        help="full name: pe1234567_order_news",
    ),
    Setting(
        "email_id",
        label="E-mail for single-send",
        required=False,
        help="a number; a message template's vendor template replaces it",
    ),
    Setting("reply_to", label="Reply-To of single-sends", required=False),
    Setting(
        "subscription_id",
        label="Subscription type of order news",
        required=False,
        help="a number; who stops order news here is unsubscribed from it there",
    ),
    Setting(
        "marketing_subscription_id",
        label="Subscription type of marketing",
        required=False,
        help="a number",
    ),
    Setting(
        "ask_first",
        label="Ask HubSpot before each message",
        required=False,
        default="yes",
        choices=("yes", "no"),
        help="whether the guest unsubscribed from the type of order news there; one more request",
    ),
    Setting("legal_basis", label="Legal basis", required=False, choices=LEGAL_BASES),
    Setting(
        "opt_out_property",
        label="Contact property that says no",
        required=False,
        help="order_alerts_email: its value false or no stops order news",
    ),
    Setting(
        "client_secret",
        label="Client secret of the app",
        secret=True,
        required=False,
        help="verifies webhooks; without it they are refused",
    ),
    Setting(
        "previous_client_secret",
        label="Previous client secret",
        secret=True,
        required=False,
        help="while you change it: counts too, until you remove it",
    ),
    Setting(
        "workflow_key",
        label="Key for workflow webhooks",
        secret=True,
        required=False,
        help="you choose it; a workflow's own webhook action sends it in X-Order-Up-Key",
    ),
    Setting(
        "previous_workflow_key",
        label="Previous key for workflow webhooks",
        secret=True,
        required=False,
        help="while you change it: counts too, until you remove it",
    ),
    Setting(
        "portal_id",
        label="HubSpot account ID",
        required=False,
        help="needed where one app serves several HubSpot accounts",
    ),
    Setting("client_id", label="Client ID of an OAuth app", required=False),
    Setting(
        "refresh_token",
        label="Refresh token of an OAuth app",
        secret=True,
        required=False,
        help="instead of an access token, with client ID and client secret",
    ),
    Setting("api_version", label="API version", required=False, default="2026-09"),
)


def check(provider: str, account: Mapping[str, str]) -> None:
    """Raise ConfigurationError for settings that cannot work together."""

    def refuse(why: str) -> None:
        raise ConfigurationError(provider, why)

    if bool(account.get("access_token")) == bool(account.get("refresh_token")):
        refuse("give setting 'access_token' or 'refresh_token', and not both")
    if account.get("refresh_token") and not (
        account.get("client_id") and account.get("client_secret")
    ):
        refuse("setting 'refresh_token' needs 'client_id' and 'client_secret'")
    method = account.get("method") or "property"
    if method not in ("property", "event", "single_send"):
        refuse("setting 'method' must be property, event or single_send")
    if method == "event" and not is_event_name(account.get("event_name", "")):
        refuse("setting 'event_name' is not a full event name (pe1234567_order_news)")
    if not _PREFIX.fullmatch(account.get("property_prefix") or "last_order_"):
        refuse("setting 'property_prefix' must be lower-case letters, digits and _")
    if not _VERSION.fullmatch(account.get("api_version") or "2026-09"):
        refuse("setting 'api_version' is not a version such as 2026-09")
    for name in _NUMBERS:
        value = account.get(name, "")
        if value and not (value.isascii() and value.isdecimal()):
            refuse(f"setting '{name}' is not a number")


def is_event_name(text: str) -> bool:
    """Whether ``text`` is the fully qualified name of a custom event."""
    return _EVENT_NAME.fullmatch(text) is not None
