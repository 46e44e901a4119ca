"""Push to apps that carry the Airship SDK. Facts are in airship.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from integrations.contracts import (
    Accepted,
    Capabilities,
    Channel,
    Choice,
    HttpRequest,
    HttpResponse,
    Message,
    Provider,
    Setting,
    StreamEvent,
)
from integrations.errors import (
    ConfigurationError,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
)
from integrations.payloads import inner, text
from integrations.providers import airship_push as pushes
from integrations.providers import airship_stream as streams
from integrations.providers.airship_address import AirshipAddress

_HOSTS: Mapping[str, str] = {
    "us": "https://go.urbanairship.com",
    "eu": "https://go.airship.eu",
}
DEVICE_TYPES = ("ios", "android", "amazon", "web")
_ACCEPT = "application/vnd.urbanairship+json; version=3;"
_KEY = re.compile(r"[A-Za-z0-9_-]{22}")
_WAIT_S = 60.0
_LONGEST_EXPIRY_S = 2_592_000


class Airship(Provider):
    """A notification to the installs of one person, or to one install.

    The address is ``named_user:<id>`` or ``channel:<uuid>`` (``ios_channel:``, ``android_channel:``
    and ``amazon_channel:`` where the kind is known). Everybody at once is not an address.
    """

    key = "airship"
    channel = Channel.PUSH
    title = "Airship"
    live_base_url = _HOSTS["us"]
    example_address = "named_user:00000000-0000-4000-8000-000000000077"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("app_key", label="App key", example="AbCdEfGhIjKlMnOpQrStUv"),
        Setting(
            "access_token",
            label="Access token",
            secret=True,
            required=False,
            help="with the role to send; better than the master secret, which opens everything",
            example="MTpleGFtcGxlOmV4YW1wbGUtdG9rZW4",
        ),
        Setting(
            "master_secret",
            label="Master secret",
            secret=True,
            required=False,
            help="instead of a token; not the app secret, which may not send",
        ),
        Setting(
            "stream_token",
            label="Real-Time Data Streaming token",
            secret=True,
            required=False,
            help="for receipts; read by manage.py airship_stream",
        ),
        Setting(
            "region", label="Site", required=False, default="us", choices=tuple(_HOSTS),
        ),
        Setting(
            "device_types",
            label="Kinds of device",
            required=False,
            default="ios,android,web",
            help="of: ios, android, amazon, web",
        ),
        Setting(
            "android_channel",
            label="Android channel",
            required=False,
            default="orders",
            help="id of a notification channel the app creates",
        ),
        Setting(
            "deep_link",
            label="Deep link",
            required=False,
            help="what a tap opens, e.g. bowls://orders/{number}; empty: the order page",
        ),
        Setting(
            "subscription_list",
            label="Subscription list",
            required=False,
            help="id of a list; then only devices on it are told, and a stop takes them off it",
        ),
    )  # fmt: skip
    capabilities = Capabilities(own_addresses=True, stream=True)

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        self._region = account.get("region") or "us"
        if self._region not in _HOSTS:
            raise ConfigurationError(self.key, "setting 'region' is neither us nor eu")
        if not _KEY.fullmatch(account["app_key"].strip()):
            raise ConfigurationError(self.key, "setting 'app_key' is not 22 letters and digits")
        if not (account.get("access_token") or account.get("master_secret")):
            raise ConfigurationError(
                self.key, "setting 'access_token' or 'master_secret' is missing"
            )
        wanted = (account.get("device_types") or "ios,android,web").split(",")
        self._kinds = [kind.strip() for kind in wanted if kind.strip()]
        if not self._kinds or not set(self._kinds) <= set(DEVICE_TYPES):
            raise ConfigurationError(
                self.key, f"setting 'device_types' is not a list of {', '.join(DEVICE_TYPES)}"
            )
        self.base_url = (base_url or _HOSTS[self._region]).rstrip("/")
        self._stream_base_url = (base_url or streams.HOSTS[self._region]).rstrip("/")

    def request(self, message: Message) -> HttpRequest:
        """POST one push."""
        address = AirshipAddress.read(message.to, self.key)
        audience: dict[str, Any] = address.audience
        if listed := self.account.get("subscription_list", "").strip():
            audience = {"and": [audience, {"subscription_lists": listed}]}
        kinds = address.device_types(self._kinds)
        kind = pushes.fit(message.milestone.partition(":")[0] or message.event_kind, 64)
        return self._post(
            "push",
            {
                "audience": audience,
                "device_types": kinds,
                "notification": pushes.notification(message, kinds, self.account),
                "options": {
                    "expiry": max(0, min(message.valid_for_s, _LONGEST_EXPIRY_S)),
                    "no_throttle": message.urgent,
                    # an order's news is no campaign; offers stay under the app's own limits
                    "bypass_frequency_limits": message.purpose != "marketing",
                },
                "campaigns": {"categories": list(dict.fromkeys(["order-status", kind]))},
            },
        )

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Taken is not shown: Airship says 202 also where nobody has the app any more."""
        answer = response.json_object()
        if 200 <= response.status < 300:
            return self._accepted(answer, response)
        code = _code(answer)
        if response.status == 429:
            wait_s = response.retry_after_s()
            raise RateLimited(
                self.key,
                response,
                retry_after_s=_WAIT_S if wait_s is None else wait_s,
                vendor_code=code,
            )
        if response.status == 400 and _blames_audience(answer):
            raise RecipientUnreachable(self.key, response, vendor_code=code)
        if code == "40401" and not AirshipAddress.read(message.to, self.key).is_named_user:
            raise RecipientUnreachable(self.key, response, vendor_code=code)
        if response.status == 406:
            raise ConfigurationError(self.key, "Airship answered HTTP 406", vendor_code=code)
        self.raise_for_status(response, vendor_code=code)
        raise OutcomeUnknown(self.key, response)

    def choice_requests(self, choice: Choice) -> list[HttpRequest]:
        """Takes a device off the account's list. Nothing puts it back: its owner may have left."""
        listed = self.account.get("subscription_list", "").strip()
        address = AirshipAddress.read(choice.to, self.key)
        if not listed or not choice.is_stopped or address.is_named_user:
            return []
        action = {"action": "unsubscribe", "list_id": listed}
        body = {"audience": address.audience, "subscription_lists": action}
        return [self._post("channels/subscription_lists", body)]

    def erasure_requests(self, channel: Channel, to: str) -> list[HttpRequest]:
        """Uninstalls a person with all their devices, or one device of a known kind."""
        address = AirshipAddress.read(to, self.key)
        if address.is_named_user:
            return [self._post("named_users/uninstall", {"named_user_id": [address.value]})]
        if not address.device_type:
            return []
        device = {"channel_id": address.value, "device_type": address.device_type}
        return [self._post("channels/uninstall", [device])]

    def association_request(
        self, named_user: str, channel_id: str, device_type: str = "", *, is_undone: bool = False
    ) -> HttpRequest:
        """Ties a device to a person, or unties it. Web channels have no device type."""
        body = {"named_user_id": named_user, "channel_id": channel_id}
        if device_type:
            body["device_type"] = device_type
        return self._post(f"named_users/{'disassociate' if is_undone else 'associate'}", body)

    def stream_request(self, offset: str = "", cookie: str = "") -> HttpRequest:
        """POST that opens the stream of events behind ``offset``."""
        return streams.request(self._stream_base_url, self.account, offset, cookie)

    def stream_event(self, line: bytes) -> StreamEvent:
        """Read one line of the stream."""
        return streams.event(line)

    def _accepted(self, answer: Mapping[str, Any], response: HttpResponse) -> Accepted:
        ids = answer.get("push_ids")
        if answer.get("ok") is True and isinstance(ids, list):
            push_id = text(ids[0]) if ids else ""
            if push_id:
                return Accepted(vendor_id=push_id)
            raise RecipientUnreachable(self.key, response, detail="no audience")
        raise OutcomeUnknown(self.key, response, detail="no push id in the answer")

    def _post(self, path: str, body: Any) -> HttpRequest:
        headers = {"Accept": _ACCEPT, "Content-Type": "application/json"}
        url, key = f"{self.base_url}/api/{path}", self.account["app_key"].strip()
        token = self.account.get("access_token", "").strip()
        if token:
            headers |= {"Authorization": f"Bearer {token}", "X-UA-Appkey": key}
            return HttpRequest.post(url, json_body=body, headers=headers)
        auth = (key, self.account["master_secret"].strip())
        return HttpRequest.post(url, json_body=body, headers=headers, auth=auth)


def _code(answer: Mapping[str, Any]) -> str:
    found = text(answer.get("error_code"), 12)
    return found if found.isdecimal() else ""


def _blames_audience(answer: Mapping[str, Any]) -> bool:
    """Whether a 400 is about the address; any other member is about the message."""
    return text(inner(answer, "details").get("path")).startswith("audience")
