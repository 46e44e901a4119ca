"""What Meta's messaging products share: the URL challenge, the signature, the error envelope.

Pages: developers.facebook.com/docs/graph-api/webhooks/getting-started and guides/error-handling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from integrations.contracts import HttpResponse, InboundCall, Reply200
from integrations.errors import OutcomeUnknown, SignatureInvalid
from integrations.payloads import inner, load_object, objects, text
from integrations.signatures import hmac_hex, is_same, require_hmac

BASE_URL = "https://graph.facebook.com"
#: the Graph version we were written against; a setting of every account
VERSION = "v26.0"
_HEADER = "X-Hub-Signature-256"
#: states of a template Meta refuses to send
_NOT_SENT = frozenset({"PENDING", "REJECTED", "PAUSED", "DISABLED"})


class GraphError(NamedTuple):
    """The error of an answer; zeros where it carries none."""

    code: int = 0
    subcode: int = 0

    @property
    def text(self) -> str:
        """ "131056", "10/2018278" or "" for no error."""
        if not self.code and not self.subcode:
            return ""
        return f"{self.code}/{self.subcode}" if self.subcode else str(self.code)


def error_of(response: HttpResponse) -> GraphError | None:
    """The error envelope of an answer; None when there is none."""
    found = response.json_object().get("error")
    if not isinstance(found, dict):
        return None
    return GraphError(whole(found.get("code")), whole(found.get("error_subcode")))


def whole(value: object) -> int:
    """``value`` as a number; 0 for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def answer_challenge(call: InboundCall, verify_token: str) -> Reply200 | None:
    """The answer to Meta's URL test: the challenge for our token, else 403; None for a POST."""
    if call.method != "GET" or "hub.mode" not in call.query:
        return None
    given = call.query.get("hub.verify_token", "")
    if call.query["hub.mode"] != "subscribe" or not verify_token:
        return Reply200(status=403)
    if not is_same(given, verify_token):
        return Reply200(status=403)
    return Reply200(body=call.query.get("hub.challenge", "").encode())


def secrets_of(account: Mapping[str, str]) -> list[str]:
    """The app secrets a webhook may be signed with: the account's, and the one before it."""
    return [account.get(name, "") for name in ("app_secret", "previous_app_secret")]


def verified(
    call: InboundCall, app_secrets: Iterable[str], kind: str
) -> Iterator[Mapping[str, Any]]:
    """The entries of a call signed with one of ``app_secrets`` about ``kind``; else none.

    Raises SignatureInvalid or PayloadMalformed. The signature covers the bytes as sent, with
    their escapes: JSON that was parsed and written again would not fit.
    """
    given = call.headers.get(_HEADER.lower(), "")
    name, _, digest = given.partition("=")
    if given and name != "sha256":
        raise SignatureInvalid(f"{_HEADER} does not start with sha256=")
    require_hmac(
        header=_HEADER, given=digest, secrets=app_secrets, message=call.body, encode=hmac_hex
    )
    payload = load_object(call.body)
    return iter(objects(payload.get("entry")) if payload.get("object") == kind else [])


def changes(entry: Mapping[str, Any], field: str) -> Iterator[dict[str, Any]]:
    """The values of an entry's changes of one field."""
    for change in objects(entry.get("changes")):
        if change.get("field") == field:
            yield inner(change, "value")


def moment(value: object, *, per_second: int = 1) -> datetime | None:
    """A Unix time, as a number or digits; None for anything else."""
    try:
        return datetime.fromtimestamp(int(str(value)) / per_second, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def templates_url(base: str, version: str, owner: str) -> str:
    """Where the message templates of a WhatsApp business account or a Page are listed."""
    return f"{base}/{version}/{quote(owner, safe='')}/message_templates?limit=250"


def template_gaps(provider: str, response: HttpResponse) -> list[str]:
    """What keeps the templates of a list from being sent as order news, a sentence each.

    Raises OutcomeUnknown for what is no list: it is not an empty one.
    """
    listed = response.json_object().get("data")
    if not isinstance(listed, list) or len(objects(listed)) < len(listed):
        raise OutcomeUnknown(provider, response, detail="the list is unreadable")
    found = [one for one in objects(listed) if text(one.get("category")) == "UTILITY"]
    gaps = [
        f"Meta has the template {text(one.get('name'))}:{text(one.get('language'))} as "
        f"{status.lower()}: it is not sent."
        for one in found
        if (status := text(one.get("status"), 40)) in _NOT_SENT
    ]
    if not any(text(one.get("status")) == "APPROVED" for one in found):
        gaps.append(
            "Meta has no approved template of the category UTILITY: guests who did not write "
            "within 24 hours cannot be told anything."
        )
    return gaps
