"""Logs as JSON lines: a constant event name and facts, never a body, an address or a secret."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


#: what is secret in the paths of our pages and webhooks: whoever reads a log must not be able to
#: use it. Django names the path of what it refuses.
_SECRET_PATHS = re.compile(r"/(u|o|ack|[pc]/\d+|hooks/(?:orders|messages))/[^/\s'\"<>?]{8,}")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event and whatever came in ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD and not name.startswith("_"):
                line[name] = value if isinstance(value, (int, float, bool, str)) else repr(value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _SECRET_PATHS.sub(r"/\1/-", json.dumps(line, ensure_ascii=False))
