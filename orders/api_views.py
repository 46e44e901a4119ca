"""What every view of the API has in common."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from orders.api_fields import StrictJsonParser
from orders.api_keys import ApiKeyAuthentication, HasScope, key_of
from orders.idempotency import HEADER
from orders.models import ApiKey, Restaurant


class ApiView(APIView):
    """A view for API keys: ``scopes`` names what each method needs of the key."""

    scopes: ClassVar[dict[str, str]] = {}
    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [HasScope]
    parser_classes = [StrictJsonParser]
    renderer_classes = [JSONRenderer]

    @property
    def api_key(self) -> ApiKey:
        """The key the request carries; views run only with one."""
        return key_of(self.request)

    @property
    def restaurant(self) -> Restaurant:
        """The only restaurant the key can see."""
        return self.api_key.restaurant


class ErrorEntryOut(serializers.Serializer[Any]):
    """One wrong place; one of pointer, parameter and header is present."""

    detail = serializers.CharField()
    code = serializers.CharField()
    pointer = serializers.CharField(required=False, help_text="JSON pointer, '#/times/placed_at'")
    parameter = serializers.CharField(required=False)
    header = serializers.CharField(required=False)


class ProblemOut(serializers.Serializer[Any]):
    """A refusal, as RFC 9457 writes it."""

    type = serializers.URLField(help_text="answers with an explanation")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    errors = ErrorEntryOut(many=True, required=False)  # type: ignore[assignment]  # the member is called so


_REFUSALS = {
    400: "The body cannot be read.",
    401: "No valid API key.",
    403: "The key lacks the scope.",
    404: "No such object, or another restaurant's.",
    409: "A request with this Idempotency-Key is still running.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "Not valid; 'errors' names each wrong place.",
}


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """The refusals of an operation, for its description."""
    kind = "application/problem+json"
    return {
        (status, kind): OpenApiResponse(ProblemOut, description=_REFUSALS[status])
        for status in statuses
    }


#: the refusals of every write
WRITE_PROBLEMS = problems(400, 401, 403, 404, 409, 413, 415, 422)
#: the header of every write
IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="A repeated request with the same key gets the first answer, for 24 hours.",
)
