"""Who may be told, how: people and addresses, the ledger, choices, the portal, rights."""

from consents.models.ledger import (
    CheckpointHead,
    ConsentAction,
    ConsentEvent,
    ConsentEvidence,
    ConsentState,
    LedgerCheckpoint,
    NoticeVersion,
    Purpose,
    RemovedChain,
    Suppression,
)
from consents.models.people import (
    AddressAlias,
    AddressOrigin,
    ContactAddress,
    SenderGroup,
    Subject,
    SubjectAddress,
    SubjectKind,
)
from consents.models.policy import (
    InboxItem,
    PolicyPack,
    Preference,
)
from consents.models.portal import (
    LinkRequest,
    ManageLink,
    OptIn,
    RateCount,
)
from consents.models.rights import (
    AddressReveal,
    ConsentImport,
    RetentionRun,
    RightsRequest,
)

__all__ = [
    "AddressAlias",
    "AddressOrigin",
    "AddressReveal",
    "CheckpointHead",
    "ConsentAction",
    "ConsentEvent",
    "ConsentEvidence",
    "ConsentImport",
    "ConsentState",
    "ContactAddress",
    "InboxItem",
    "LedgerCheckpoint",
    "LinkRequest",
    "ManageLink",
    "NoticeVersion",
    "OptIn",
    "PolicyPack",
    "Preference",
    "Purpose",
    "RateCount",
    "RemovedChain",
    "RetentionRun",
    "RightsRequest",
    "SenderGroup",
    "Subject",
    "SubjectAddress",
    "SubjectKind",
    "Suppression",
]
