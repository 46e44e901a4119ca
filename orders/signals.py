"""The signals of this app."""

from django.dispatch import Signal

#: Sent by ``intake.apply_projection``, once per new row of OrderEvent, after the order, its parts
#: and all events of this change are written and inside the same transaction: whatever a receiver
#: inserts is committed or lost together with them. Arguments: ``event`` (OrderEvent), ``order``
#: (Order, locked, as it now is), ``projection`` (projection.Projection it was computed from).
order_event_recorded = Signal()

#: Sent by ``newcomers.introduce``, once per order, when its first guest becomes known after the
#: state it is in was recorded, inside the transaction that notes the guest. Arguments: ``event``
#: (OrderEvent of that state), ``order`` (Order, locked, with its guest), ``at``.
guest_known = Signal()

#: Sent by ``silence.watch_feeds``, once per silence and inside the transaction that notes it.
#: Arguments: ``account`` (SourceAccount), ``last_call_at`` (datetime), ``usual_gap`` (timedelta),
#: ``now``.
feed_silent = Signal()
