"""What WhatsApp's error codes mean for us: in answers to a send and in status webhooks alike.

Page: developers.facebook.com/documentation/business-messaging/whatsapp, support/error-codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from integrations.errors import (
    IntegrationError,
    MessageRejected,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)

#: the recipient stopped marketing; order updates stay allowed
STOPPED_MARKETING = 131050
#: too many messages to this one person: the others may go on
PAIR_RATE = 131056
#: only a template may be sent now
WINDOW_CLOSED = 131047
CONFIGURATION = (
    frozenset({0, 3, 10, 33, 190, 368, 130497, 131005, 131030, 131031, 131037, 131042, 131045})
    | frozenset({131048, 131064, 133010})
    | frozenset(range(200, 300))
)


class Fault(NamedTuple):
    """The error to raise; ``wait_s`` when WhatsApp does not say how long to wait."""

    error: type[IntegrationError]
    wait_s: float | None = None


_CONTENT = Fault(MessageRejected)
_DAMAGED = (100, 131008, 131009, 131051, 131052, 131053, 132000, 132005, 132008, 132012, 132018)
FAULTS: Mapping[int, Fault] = {
    **dict.fromkeys((1, 2, 131000, 131016, 131057, 135000), Fault(TransientError)),
    **dict.fromkeys((4, 80007, 130429, 133016), Fault(RateLimited, 60.0)),
    PAIR_RATE: Fault(RateLimited, 6.0),
    131026: Fault(RecipientUnreachable),
    131021: Fault(RecipientUnreachable),
    WINDOW_CLOSED: _CONTENT,
    131049: _CONTENT,
    130472: _CONTENT,
    131062: _CONTENT,
    STOPPED_MARKETING: _CONTENT,
    **dict.fromkeys(_DAMAGED, _CONTENT),
    # a template that is missing, paused or disabled: the account works, this template does not
    **dict.fromkeys((132001, 132007, 132015, 132016), _CONTENT),
}


def error_word(code: int) -> str:
    """The word of errors.py a failed status stands for; "" for an unknown code."""
    if code in CONFIGURATION:
        return "config"
    fault = FAULTS.get(code)
    return fault.error.code if fault else ""
