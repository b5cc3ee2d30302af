"""`rowcast` as it is, except that what a relay tells the sockets is also appended to a file, in the order of telling.

A socket that misses something cannot judge the order in which it was told; this file can. The line is written before the
sockets are told, so whatever they saw is in it.

Imported by `ledger_nursery`, whose forks call `run`.
"""

import asyncio
import os
from collections.abc import Sequence

import msgspec

from rowcast.__main__ import main
from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope
from rowcast.realtime.sink import RealtimeSink
from tests.reliability.ledger_pack import append, content, line_of

_tell = RealtimeSink.tell


async def noted_tell(sink: RealtimeSink, owed: Sequence[tuple[Envelope, Owed]]) -> None:
    """Note, then tell."""
    lines = [
        line_of("relay", event.tenant_id, event.id, content(msgspec.json.decode(event.payload))) for event, _ in owed
    ]
    append("ROWCAST_TEST_TOLD_FILE", [{**line, "node": os.getpid()} for line in lines])
    await asyncio.sleep(float(os.environ["ROWCAST_TEST_TELL_WAIT_S"]))
    await _tell(sink, owed)


def run() -> None:
    """Be `rowcast`, with the words in `sys.argv`."""
    RealtimeSink.tell = noted_tell  # type: ignore[method-assign]
    main()
