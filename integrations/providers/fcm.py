"""Push to native apps through Firebase Cloud Messaging (HTTP v1). Facts are in fcm.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from integrations.contracts import (
    Accepted,
    Capabilities,
    Channel,
    HttpRequest,
    HttpResponse,
    Message,
    Provider,
    Setting,
)
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)
from integrations.payloads import inner, objects, text
from integrations.providers.fcm_token import (
    AUDIENCE,
    ServiceAccount,
    example_key_file,
    google_token,
)

if TYPE_CHECKING:
    from integrations.http import Http

_LONGEST_TTL_S = 28 * 24 * 3600
#: seconds; Google asks for ten at least before the first repetition
_RETRY_S = (10.0, 30.0, 120.0, 600.0, 3600.0)
#: notification and data together may take 4096 bytes
_TITLE_BYTES, _BODY_BYTES, _VALUE_BYTES = 200, 2000, 200
_INSTALLATION = re.compile(r"[A-Za-z0-9_-]{22}")
_NOT_IN_LABEL = re.compile(r"[^A-Za-z0-9_.~-]")
_CODE = re.compile(r"[A-Z_]{1,60}")
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
#: words by which FCM blames the address where it names no field
_BAD_TOKEN = re.compile(r"not a valid FCM registration token", re.IGNORECASE)


class Fcm(Provider):
    """A notification to one install of a restaurant's app.

    The address is ``fid:<installation id>`` or ``token:<registration token>``; without a prefix
    its shape tells. ``request`` is pure and carries no access token; ``send`` gets one (kept for
    its hour) and adds it with the moment after which Apple drops the message.
    """

    key = "fcm"
    channel = Channel.PUSH
    title = "Firebase Cloud Messaging"
    live_base_url = "https://fcm.googleapis.com"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "service_account",
            label="Service account key (JSON)",
            secret=True,
            help="the whole key file; the account needs the role to send messages",
        ),
        Setting(
            "android_channel",
            label="Android channel",
            required=False,
            default="orders",
            help="id of a notification channel the app creates",
        ),
    )
    capabilities = Capabilities(rate_per_s=10_000.0, retry_s=_RETRY_S, own_addresses=True)

    @classmethod
    def example_settings(cls) -> dict[str, str]:
        """With a key made now: there is none that could stand here."""
        return {**super().example_settings(), "service_account": example_key_file()}

    def __init__(self, account: Mapping[str, str], *, base_url: str = "") -> None:
        super().__init__(account, base_url=base_url)
        try:
            self._service = ServiceAccount.from_json(account["service_account"])
        except ValueError as error:
            raise ConfigurationError(
                self.key, "setting 'service_account' is not a service account's key file"
            ) from error
        #: never the one in the key file, which anybody could have written
        self.token_url = f"{self.base_url}/token" if base_url else AUDIENCE
        self._token = google_token(self._service, self.token_url, provider=self.key)

    def request(self, message: Message) -> HttpRequest:
        """POST messages:send, without the access token."""
        return self._request(message, None)

    async def send(self, message: Message, http: Http) -> Accepted:
        """Get a token, POST; a refused token is renewed and the message sent once more."""
        request = self._request(message, datetime.now(UTC))
        return self.outcome(message, await self.exchange(request, http))

    async def exchange(self, request: HttpRequest, http: Http) -> HttpResponse:
        """With the account's access token."""
        return await self._token.exchange(request, http, is_refusal=_is_token_refused)

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """FCM's own code decides, then Google's status, then the HTTP status."""
        if 200 <= response.status < 300:
            name = text(response.json_object().get("name"))
            if not name:
                raise OutcomeUnknown(self.key, response, detail="no message name in the answer")
            return Accepted(vendor_id=name)
        own, status = _codes(response)
        self._raise_for_code(own or status, response)
        if response.status == 429:
            self._raise_throttled(response, status)
        if response.status in (502, 503):  # a page of Google's front end: nothing was taken
            self._raise_unavailable(response, status)
        self.raise_for_status(response, vendor_code=own or status)
        raise OutcomeUnknown(self.key, response)

    def _raise_for_code(self, code: str, response: HttpResponse) -> None:
        if code == "INVALID_ARGUMENT":
            error = RecipientUnreachable if _blames_address(response) else MessageRejected
            raise error(self.key, response, vendor_code=code)
        if code in ("UNREGISTERED", "SENDER_ID_MISMATCH"):
            raise RecipientUnreachable(self.key, response, vendor_code=code)
        if code in ("THIRD_PARTY_AUTH_ERROR", "UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND"):
            raise ConfigurationError(self.key, f"FCM refused: {code}", vendor_code=code)
        if code in ("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"):
            self._raise_throttled(response, code)
        if code == "UNAVAILABLE":
            self._raise_unavailable(response, code)
        if code == "INTERNAL":
            raise TransientError(self.key, response, vendor_code=code)

    def _raise_unavailable(self, response: HttpResponse, code: str) -> NoReturn:
        wait_s = response.retry_after_s()
        if wait_s is not None:
            raise RateLimited(self.key, response, retry_after_s=wait_s, vendor_code=code)
        raise TransientError(self.key, response, vendor_code=code)

    def _raise_throttled(self, response: HttpResponse, code: str) -> NoReturn:
        wait_s = response.retry_after_s()
        raise RateLimited(
            self.key,
            response,
            retry_after_s=60.0 if wait_s is None else wait_s,
            vendor_code=code,
        )

    def _request(self, message: Message, at: datetime | None) -> HttpRequest:
        ttl_s = max(0, min(message.valid_for_s, _LONGEST_TTL_S))
        expires_at = at + timedelta(seconds=ttl_s) if at else None
        label = _NOT_IN_LABEL.sub("_", message.milestone or message.event_kind)[:50]
        body = {
            "message": {
                **_address(message.to.strip(), self.key),
                "notification": _notification(message),
                "data": _data(message),
                "android": self._android(message, ttl_s),
                "apns": _apns(message, expires_at),
                "webpush": {"headers": {"TTL": str(ttl_s), "Urgency": _urgency(message)}},
                "fcmOptions": {"analyticsLabel": label},
            }
        }
        url = f"{self.base_url}/v1/projects/{self._service.project_id}/messages:send"
        return HttpRequest.post(url, json_body=body)

    def _android(self, message: Message, ttl_s: int) -> dict[str, Any]:
        shown: dict[str, str] = {"channelId": self.account.get("android_channel") or "orders"}
        found: dict[str, Any] = {
            "priority": "HIGH" if message.urgent else "NORMAL",
            "ttl": f"{ttl_s}s",
            "notification": shown,
        }
        if message.thread_key:
            # a newer message of one order replaces the older one, waiting or shown
            shown["tag"] = found["collapseKey"] = message.thread_key[:64]
        return found


def _is_token_refused(response: HttpResponse) -> bool:
    return _codes(response) == ("", "UNAUTHENTICATED")


def _address(to: str, provider: str) -> dict[str, str]:
    """``fid`` or ``token``: exactly one of them, and never the one of the other kind."""
    kind, found, value = to.partition(":")
    if not found or kind not in ("fid", "token"):
        kind, value = ("fid" if _INSTALLATION.fullmatch(to) else "token"), to
    if not 1 <= len(value) <= 4096 or not (value.isascii() and value.isprintable()):
        raise RecipientUnreachable(provider, detail="not an app's installation or token")
    return {kind: value}


def _notification(message: Message) -> dict[str, str]:
    said = message.text.strip()
    title = message.subject.strip() or said.partition("\n")[0]
    return {"title": _cut(title, _TITLE_BYTES), "body": _cut(said, _BODY_BYTES)}


def _data(message: Message) -> dict[str, str]:
    """Every value is text; an app drops an event id it knows."""
    values = {
        "event_id": message.event.get("id") or message.attempt_id,
        "attempt_id": message.attempt_id,
        "order_id": message.order.get("id") or "",
        "order_number": message.order.get("number") or "",
        "status": message.order.get("state") or "",
        "milestone": message.milestone,
        "url": message.links.get("order", ""),
    }
    return {name: _cut(str(value), _VALUE_BYTES) for name, value in values.items()}


def _apns(message: Message, expires_at: datetime | None) -> dict[str, Any]:
    headers = {"apns-priority": "10" if message.urgent else "5"}
    if message.thread_key:
        headers["apns-collapse-id"] = message.thread_key[:64]
    if expires_at is not None:
        headers["apns-expiration"] = str(int(expires_at.timestamp()))
    return {"headers": headers, "payload": {"aps": {"sound": "default"}}}


def _urgency(message: Message) -> str:
    return "high" if message.urgent else "normal"


def _cut(words: str, limit: int) -> str:
    """At most ``limit`` bytes, without NUL and halves of characters."""
    return words.replace("\x00", "").encode("utf-8", "ignore")[:limit].decode("utf-8", "ignore")


def _codes(response: HttpResponse) -> tuple[str, str]:
    """(FCM's own error code, Google's status) of an answer; "" where there is none."""
    error = inner(response.json_object(), "error")
    own = next((text(d.get("errorCode")) for d in objects(error.get("details")) if _is_fcm(d)), "")
    status = text(error.get("status"))
    return own if _CODE.fullmatch(own) else "", status if _CODE.fullmatch(status) else ""


def _is_fcm(detail: Mapping[str, Any]) -> bool:
    return detail.get("@type") == _FCM_ERROR


def _blames_address(response: HttpResponse) -> bool:
    """Whether a 400 is about the address; taking every 400 for that would wipe all devices."""
    error = inner(response.json_object(), "error")
    fields = {
        text(violation.get("field"))
        for detail in objects(error.get("details"))
        for violation in objects(detail.get("fieldViolations"))
    }
    if fields & {"message.token", "message.fid"}:
        return True
    return _BAD_TOKEN.search(text(error.get("message"), 1000)) is not None
