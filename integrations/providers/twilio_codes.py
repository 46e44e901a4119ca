"""Twilio's error codes and what each means for a delivery.

The same numbers come in create answers ("code"), in message resources ("error_code") and in
status callbacks ("ErrorCode"). Pages: twilio.com/docs/api/errors/<code>.
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
    """The class a code stands for; how long a throttle lasts if Twilio does not say.

    ``most_retries``: how often it is worth repeating, None = as usual.
    """

    error: type[IntegrationError]
    retry_after_s: float | None = None
    most_retries: int | None = None


_DAY_S = 86400.0

#: the validity period ran out in Twilio's queue: a receipt of kind ``expired``
VALIDITY_EXPIRED = "30036"

FAULTS: Mapping[str, Fault] = {
    "20429": Fault(RateLimited),  # too many requests at once; never processed
    "20503": Fault(TransientError),
    "21611": Fault(RateLimited, 600),  # the sender's queue is longer than 10 h
    "30001": Fault(RateLimited, 60),  # queue overflow
    "30017": Fault(RateLimited, 120),  # carrier congestion
    "30022": Fault(RateLimited, 60),  # 10DLC rate of the campaign
    "30023": Fault(RateLimited, _DAY_S),  # daily caps: in effect another channel
    "30027": Fault(RateLimited, _DAY_S),
    "30410": Fault(RateLimited, 120),  # the carrier did not answer Twilio in time
    "30047": Fault(RateLimited, 300),  # rescheduling failed
    "30003": Fault(TransientError, most_retries=1),  # handset off or out of reach
    "30008": Fault(TransientError, most_retries=1),  # unknown
    # quiet hours of the Compliance Toolkit: ask again hourly as long as the message is worth it
    "30610": Fault(RateLimited, 3600),
    "21211": Fault(RecipientUnreachable),  # invalid To
    "21217": Fault(RecipientUnreachable),
    "21401": Fault(RecipientUnreachable),
    "21612": Fault(RecipientUnreachable),  # no SMS route to this number
    "21614": Fault(RecipientUnreachable),  # not a mobile number
    "30005": Fault(RecipientUnreachable),  # unknown handset
    "30006": Fault(RecipientUnreachable),  # landline
    "30640": Fault(RecipientUnreachable),  # known litigator, blocked by the toolkit
    "21610": Fault(RecipientOptedOut),  # texted STOP
    "30004": Fault(RecipientOptedOut),  # blocked
    "30007": Fault(MessageRejected),  # filtered by the carrier
    "21602": Fault(MessageRejected),  # empty body
    "21619": Fault(MessageRejected),
    "21617": Fault(MessageRejected),  # longer than 1600 characters
    "21620": Fault(MessageRejected),  # media
    "21623": Fault(MessageRejected),
    "30019": Fault(MessageRejected),
    VALIDITY_EXPIRED: Fault(MessageRejected),
}

#: credentials, senders, permissions, registration: the account stops until somebody mends it
CONFIGURATION = frozenset(
    {
        "20003",  # refused credentials
        "20005",
        "20404",
        "21212",  # senders
        "21603",
        "21606",
        "21609",
        "21701",  # messaging services
        "21702",
        "21703",
        "21704",
        "21705",
        "21408",  # country not enabled
        "21608",  # trial account
        "21219",
        "30002",  # account suspended
        "30032",  # toll-free and 10DLC registration
        "30033",
        "30034",
        "30035",
        "30450",  # traffic pumping protection
        "90007",
    }
)
