"""The one door for vendors' receipts and replies: /hooks/messages/<account token>/."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from integrations.contracts import InboundCall, Reply200
from integrations.errors import ConfigurationError, EventIgnored, PayloadMalformed, SignatureInvalid
from notifications import receipts, replies
from notifications.selectors import AccountView, account_by_token, provider_for, webhook_url

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1024 * 1024


@method_decorator(csrf_exempt, name="dispatch")
class ProviderWebhook(View):
    """Verify on raw bytes, store, answer fast. A known bad call is 4xx, never 500."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        return self._receive(request, token)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        return self._receive(request, token)

    def _receive(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            account = account_by_token(token)
            if account is None:
                return HttpResponse(status=404)
            return self._handle(account, inbound_call(request, token))
        except RequestDataTooBig:
            return HttpResponse(status=413)
        except OperationalError:
            logger.exception("webhook.database_down")
            return HttpResponse(status=503)

    def _handle(self, account: AccountView, call: InboundCall) -> HttpResponse:
        if len(call.body) > MAX_BODY_BYTES:
            return HttpResponse(status=413)
        try:
            provider = provider_for(account)
            answer = provider.handshake(call)
            if answer is not None:
                return _http(answer)
            if call.method == "GET":
                return HttpResponse(status=405)
            found_receipts = provider.receipts(call)
            found_replies = provider.replies(call)
        except SignatureInvalid as error:
            logger.warning(
                "webhook.signature_invalid", extra={"account_id": account.id, "hint": error.hint}
            )
            return HttpResponse(status=401)
        except PayloadMalformed as error:
            logger.warning("webhook.malformed", extra={"account_id": account.id, "why": str(error)})
            return HttpResponse(status=400)
        except (ConfigurationError, EventIgnored):
            return HttpResponse(status=200)
        receipts.record_receipts(
            account_id=account.id, receipts=found_receipts, received_at=call.received_at
        )
        replies.record_replies(account=account, replies=found_replies, received_at=call.received_at)
        return _http(provider.answer(call))


def _http(answer: Reply200) -> HttpResponse:
    return HttpResponse(
        answer.body,
        status=answer.status,
        content_type=answer.content_type,
        headers=dict(answer.headers),
    )


def inbound_call(request: HttpRequest, token: str) -> InboundCall:
    """The call as plain values, under the configured public URL (vendors sign it)."""
    query = request.META.get("QUERY_STRING", "")
    url = webhook_url(token) + (f"?{query}" if query else "")
    return InboundCall(
        method=request.method or "POST",
        url=url,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.body,
        received_at=datetime.now(UTC),
        query=request.GET.dict(),
    )
