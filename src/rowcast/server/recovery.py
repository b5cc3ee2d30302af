"""The log of channels, told by the same rules as the sockets."""

from collections.abc import Sequence

from rowcast.core.clock import Clock
from rowcast.core.envelope import Envelope
from rowcast.core.errors import RowcastError
from rowcast.realtime.messages import Broadcast
from rowcast.realtime.recover import DurableLog
from rowcast.realtime.recover_rows import Told
from rowcast.realtime.sink import OWN_TOPICS, RealtimeSink, event_broadcasts
from rowcast.router.plan import RuleSet
from rowcast.store.pool import Database


def channel_log(*, database: Database, clock: Clock, rules: RuleSet) -> DurableLog:
    """Give the log of what `rules` tell the sockets."""
    return DurableLog(database=database, clock=clock, told=told_by(rules))


def told_by(rules: RuleSet) -> Told | None:
    """Give what sockets hear of an event; None where no rule names a topic of its own, which is quicker to look up."""
    targets = {rule.target for rule in rules.rules if rule.sink == RealtimeSink.name}
    if targets <= {"", OWN_TOPICS}:
        return None

    def told(event: Envelope) -> Sequence[Broadcast]:
        try:
            owed = [each for each in rules.owed(event) if each.sink == RealtimeSink.name]
        except RowcastError:
            # What cannot be routed was never told.
            return ()
        return [broadcast for each in owed for broadcast in event_broadcasts(event, each.target)]

    return told
