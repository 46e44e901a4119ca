"""Serializer fields that take exactly what the JSON schema says, and a parser that never breaks.

The framework's own fields are generous ("1" is a number, 5 is a text, "yes" is true). An
integration whose mistake is accepted finds out in front of a customer, so these are not.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import IO, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from orders.clocks import BEHIND

_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|z|[+-]\d{2}:\d{2})", re.ASCII
)
_YEARS = range(2000, 2101)
_LARGEST_QUANTITY = 999_999


class StrictJsonParser(JSONParser):
    """JSON in UTF-8, whatever charset the header claims; bad input is always a ParseError."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise RequestDataTooBig
        try:
            return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        except RecursionError:
            raise ParseError("the body is nested too deeply") from None
        except UnicodeDecodeError:
            raise ParseError("the body is not UTF-8") from None
        except ValueError as error:
            raise ParseError(f"the body is not JSON: {error}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class StrictSerializer(serializers.Serializer[Any]):
    """An object that may hold the declared members and no others."""

    default_error_messages = {"invalid": "must be an object"}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            unknown = [str(name) for name in data if name not in known]
            if unknown:
                raise serializers.ValidationError(
                    {name: ["is not a known member"] for name in unknown}, code="unknown_member"
                )
        return super().to_internal_value(data)


class TextField(serializers.CharField):
    """A JSON string, kept byte for byte; a number is not a text."""

    default_error_messages = {"invalid": "must be a string"}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class PatternField(TextField):
    """A string that matches ``pattern`` from end to end; ``hint`` says so in words."""

    def __init__(self, pattern: str, hint: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pattern = re.compile(pattern, re.ASCII)
        self.hint = hint

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not self.pattern.fullmatch(text):
            raise serializers.ValidationError(self.hint, code="invalid")
        return text


class MailField(serializers.EmailField):
    """A JSON string that is a mailbox."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("must be a string", code="invalid")
        return super().to_internal_value(data)


class CodeField(serializers.ChoiceField):
    """One of a few lowercase codes."""

    default_error_messages = {"invalid_choice": "must be one of the documented values"}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            raise serializers.ValidationError(
                f"must be one of {', '.join(str(code) for code in self.choices)}",
                code="invalid_choice",
            )
        return data


class FlagField(serializers.BooleanField):
    """true or false, not "yes" or 1."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("must be true or false", code="invalid")
        return data


class QuantityField(serializers.FloatField):
    """A JSON number above 0 with at most three decimals."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_value=_LARGEST_QUANTITY, **kwargs)

    def to_internal_value(self, data: Any) -> float:
        number = not isinstance(data, bool) and isinstance(data, int | float)
        if not number or (isinstance(data, float) and not math.isfinite(data)):
            raise serializers.ValidationError("must be a number", code="invalid")
        if data <= 0 or (isinstance(data, float) and round(data, 3) != data):
            raise serializers.ValidationError(
                "must be greater than 0, with at most three decimals", code="min_value"
            )
        return float(data)

    def to_representation(self, value: Decimal | float) -> Any:
        return int(value) if value == int(value) else float(value)


class MomentField(serializers.DateTimeField):
    """An RFC 3339 time with its offset; answers are always in UTC."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("default_timezone", UTC)
        super().__init__(**kwargs)

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str) or not _MOMENT.fullmatch(value):
            raise serializers.ValidationError(
                "must be a time like 2026-03-14T18:20:00Z, with its offset", code="invalid"
            )
        moment: datetime = super().to_internal_value(value)
        if moment.year not in _YEARS:
            raise serializers.ValidationError(
                f"must lie between {_YEARS.start} and {_YEARS.stop - 1}", code="invalid"
            )
        return moment


class NearMomentField(MomentField):
    """A time that is news today: no further from now than clocks are believed.

    ``ahead`` is how far in the future it may lie.
    """

    def __init__(self, ahead: timedelta = BEHIND, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ahead = ahead

    def to_internal_value(self, value: Any) -> datetime:
        moment = super().to_internal_value(value)
        now = timezone.now()
        if not now - BEHIND <= moment <= now + self.ahead:
            raise serializers.ValidationError(
                f"must lie at most {BEHIND.days} days back and {self.ahead.days} days ahead",
                code="implausible",
            )
        return moment


class TimezoneField(TextField):
    """An IANA time zone name."""

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        try:
            ZoneInfo(name)
        except (ValueError, OSError, LookupError):
            raise serializers.ValidationError(
                "must be an IANA time zone name like America/New_York", code="invalid"
            ) from None
        return name


def unique_ids(rows: list[dict[str, Any]]) -> None:
    """Refuse a list in which two rows have one id, naming the second."""
    seen: set[str] = set()
    problems: list[dict[str, list[str]]] = []
    for row in rows:
        again = row["id"] in seen
        problems.append({"id": ["appears twice in this list"]} if again else {})
        seen.add(row["id"])
    if any(problems):
        raise serializers.ValidationError(problems, code="not_unique")
