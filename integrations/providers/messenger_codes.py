"""What Messenger's error codes mean for us, by code and subcode.

Page: developers.facebook.com/documentation/business-messaging/messenger-platform/error-codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    MessageRejected,
    RateLimited,
    RecipientUnreachable,
    TransientError,
)


class Fault(NamedTuple):
    """The error to raise; ``wait_s`` when Messenger does not say how long to wait."""

    error: type[IntegrationError] | type[ConfigurationError]
    wait_s: float | None = None


_CONTENT = Fault(MessageRejected)
_GONE = Fault(RecipientUnreachable)
_STOP = Fault(ConfigurationError)

#: "again later" is said to us, too, when the person blocked the Page
MOST_RETRIES = 2
#: outside the 24 hours: the person is fine, only this kind of message is not
WINDOW_CLOSED = frozenset({"10/2018278", "10/2534022", "10/2018065"})
#: another app (a person at the Page's inbox) has this one conversation; the Page is fine
ANOTHER_APP = (10, 2018300)

#: (code, subcode); subcode 0 is the code on its own or with a subcode nobody listed
FAULTS: Mapping[tuple[int, int], Fault] = {
    **dict.fromkeys(((1, 0), (2, 0), (1200, 0)), Fault(TransientError)),
    **dict.fromkeys(((4, 0), (17, 0), (32, 0), (613, 0), (80006, 0)), Fault(RateLimited, 60.0)),
    **dict.fromkeys(((10, 2018278), (10, 2534022), (10, 2018065), ANOTHER_APP), _CONTENT),
    **dict.fromkeys(((10, 2018108), (551, 0), (200, 1545041), (100, 2018001)), _GONE),
    (100, 0): _CONTENT,
    **dict.fromkeys(((10, 0), (190, 0), (200, 0), (230, 0), (368, 0)), _STOP),
}


def fault_of(code: int, subcode: int) -> Fault | None:
    """The most specific entry; None for a code nobody knows."""
    return FAULTS.get((code, subcode)) or FAULTS.get((code, 0))
