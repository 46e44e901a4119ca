"""What this app announces."""

from django.dispatch import Signal

#: Sent inside the withdrawing transaction, while the exclusive lock of the address is held, after
#: the ledger row and the derived rows are written. Arguments: sender_group_id (int), channel
#: (str), address_hash (str), generation (int), scope ("channel", "all", "category:<purpose>" or
#: "order:<uuid>"), at (datetime). Receivers cancel what is queued for this address and scope.
addresses_withdrawn = Signal()

#: Sent inside the recording transaction, while the exclusive lock of the address is held, after
#: the ledger rows and the derived rows are written. Arguments: events (tuple of ConsentEvent, the
#: new rows of one address that bind every account of its channel: a stop, or what the customer
#: granted by their own hand). Receivers tell the vendors that keep such lists.
choices_recorded = Signal()

#: Sent inside the transaction that decided it. Arguments: restaurant_ref (int, the restaurant's
#: primary key), address_id (int), what ("manage", "opt_in" or "opt_in_reminder"), ref (int: the
#: OptIn, 0 for "manage"), language (str), at (datetime). The address is known, not stopped and
#: within its limits. Receivers queue the message that carries the link.
link_wanted = Signal()
