"""Mail people send back, as Inbound Parse forwards it: the raw MIME or its parts, as a form.

The MIME is read by django-anymail's parser, which needs none of its SendGrid support.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from email.utils import parseaddr
from io import BytesIO
from typing import Any

from anymail.inbound import AnymailInboundMessage
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest
from django.http.multipartparser import MultiPartParserError

from integrations.contracts import Channel, InboundCall, Reply
from integrations.errors import PayloadMalformed
from integrations.mail_words import own_words
from integrations.payloads import sha256
from integrations.providers.sendgrid_events import is_form
from integrations.providers.sendgrid_signature import verify

_AUTOMATIC = frozenset({"bulk", "list", "junk", "auto_reply"})
_UNREADABLE = (KeyError, IndexError, ValueError, TypeError, AttributeError, LookupError)


def read_replies(call: InboundCall, keys: Iterable[str]) -> list[Reply]:
    """The person's words in a verified mail; [] for events and automatic answers.

    Raises SignatureInvalid or PayloadMalformed.
    """
    signed_at = verify(call, keys)
    if not is_form(call):
        return []
    form = _form(call)
    try:
        mail = _mail(form)
    except _UNREADABLE as error:
        raise PayloadMalformed(f"forwarded mail: {type(error).__name__}") from error
    envelope = _envelope(form)
    # without "from" in the envelope it is somebody's mail server that speaks
    if _is_automatic(mail) or envelope.get("from") == "":
        return []
    sender = str(mail.from_email.addr_spec if mail.from_email else envelope.get("from") or "")
    if not sender:
        return []
    words = own_words(_text_of(mail))
    return [
        Reply(
            channel=Channel.EMAIL,
            sender=sender,
            # a mailto: unsubscribe link says all it has to say in the subject
            text=words or str(mail.subject or ""),
            # Inbound Parse has no event id
            vendor_id=str(mail["Message-ID"] or "").strip("<> ") or sha256(call.body),
            occurred_at=signed_at,
            recipient=_recipient(envelope, form),
        )
    ]


def _mail(form: Mapping[str, str]) -> Any:
    if form.get("email"):
        return AnymailInboundMessage.parse_raw_mime(form["email"])
    return AnymailInboundMessage.construct(
        raw_headers=form.get("headers", ""),
        from_email=form.get("from"),
        to=form.get("to"),
        subject=form.get("subject"),
        text=form.get("text"),
        html=form.get("html"),
    )


def _text_of(mail: Any) -> str:
    if mail.text:
        return str(mail.text)
    return re.sub(r"<[^>]*>", " ", str(mail.html or ""))


def _form(call: InboundCall) -> Mapping[str, str]:
    request = WSGIRequest(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "443",
            "CONTENT_TYPE": call.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(call.body)),
            "wsgi.input": BytesIO(call.body),
        }
    )
    try:
        found: dict[str, str] = request.POST.dict()
    except (SuspiciousOperation, MultiPartParserError, ValueError) as error:
        raise PayloadMalformed(f"forwarded mail: {type(error).__name__}") from error
    return found


def _envelope(form: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        found = json.loads(form.get("envelope", "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _recipient(envelope: Mapping[str, Any], form: Mapping[str, str]) -> str:
    """The mailbox it was really sent to; a To header proves nothing."""
    to = envelope.get("to")
    if isinstance(to, list) and to and isinstance(to[0], str):
        return to[0]
    return parseaddr(form.get("to", ""))[1]


def _is_automatic(mail: Any) -> bool:
    """Out-of-office notes, bounces and lists: answering them makes loops."""
    submitted = str(mail.get("Auto-Submitted") or "no").strip().lower()
    precedence = str(mail.get("Precedence") or "").strip().lower()
    return submitted != "no" or precedence in _AUTOMATIC
