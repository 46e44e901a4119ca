"""SignalWire's error codes and what each means for a delivery.

They come in create answers, in message records and in status callbacks. They look like Twilio's
and partly differ: 30001 is a message that waited too long. Page: signalwire.com docs,
compatibility-api rest-api error-codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from integrations.errors import (
    IntegrationError,
    MessageRejected,
    RateLimited,
    RecipientOptedOut,
    RecipientUnreachable,
    TransientError,
)


class Fault(NamedTuple):
    """The class a code stands for; how long a throttle lasts if nobody says.

    ``most_retries``: how often it is worth repeating, None = as usual.
    """

    error: type[IntegrationError]
    retry_after_s: float | None = None
    most_retries: int | None = None


_DAY_S = 86400.0
#: the validity period ran out in the queue or at the carrier: a receipt of kind ``expired``
EXPIRED = frozenset({"30001", "30009"})

FAULTS: Mapping[str, Fault] = {
    "20429": Fault(RateLimited),
    "20504": Fault(TransientError),
    "20001": Fault(TransientError),
    "31003": Fault(TransientError),
    "21611": Fault(RateLimited, 600),  # the queue is full
    "30022": Fault(RateLimited, 60),  # 10DLC rate of the campaign
    "30027": Fault(RateLimited, _DAY_S),  # daily caps: in effect another channel
    "35125": Fault(RateLimited, _DAY_S),
    "30003": Fault(TransientError, most_retries=1),  # out of reach
    "30008": Fault(TransientError, most_retries=1),  # unknown
    "63011": Fault(TransientError, most_retries=1),  # the carrier
    "21211": Fault(RecipientUnreachable),
    "21217": Fault(RecipientUnreachable),
    "21603": Fault(RecipientUnreachable),  # here a bad To; at Twilio a missing From
    "21604": Fault(RecipientUnreachable),
    "21606": Fault(RecipientUnreachable),
    "21614": Fault(RecipientUnreachable),  # not a mobile number
    "30004": Fault(RecipientUnreachable),  # blocked by the carrier
    "30005": Fault(RecipientUnreachable),  # unknown handset
    "30006": Fault(RecipientUnreachable),  # no way there
    "21610": Fault(RecipientOptedOut),  # blocked by the person
    "30007": Fault(MessageRejected),  # filtered
    "21602": Fault(MessageRejected),  # empty
    "21617": Fault(MessageRejected),  # too long
    "21612": Fault(MessageRejected),  # media
    "21620": Fault(MessageRejected),
    "21623": Fault(MessageRejected),
    **dict.fromkeys(EXPIRED, Fault(MessageRejected)),
}

#: credentials, senders, campaigns, balance: the account stops until somebody mends it
CONFIGURATION = frozenset(
    {
        "401",
        "4001",  # balance
        "10001",
        "20003",
        "20010",
        "20404",
        "21210",
        "21212",
        "21219",  # trial account
        "21402",  # callback URLs
        "21408",
        "21456",
        "21601",
        "21701",
        "21703",
        "21705",
        "21717",  # campaign
        "30002",  # balance
    }
)


def error_word(code: str) -> str:
    """The word of errors.py a receipt's code stands for; "" for an unknown one."""
    if code in CONFIGURATION:
        return "config"
    fault = FAULTS.get(code)
    return fault.error.code if fault else ""
