"""Keeps gauges and health true: asks the database every few seconds, for as long as the process runs."""

import asyncio
from collections.abc import Sequence

from rowcast.core.errors import RowcastError, StoreUnavailableError
from rowcast.core.telemetry import tell
from rowcast.observe.health import ComponentStatus, Health
from rowcast.observe.metrics import Metrics
from rowcast.observe.status import Slot, Status, StatusReader

DATABASE = "database"
SLOT = "slot"
_PING_TIMEOUT_S = 2.0
# A slot that may keep less than this before it is lost for good needs somebody's eyes.
_SAFE_BYTES = 256 * 1024 * 1024


def judge_slots(slots: Sequence[Slot]) -> tuple[ComponentStatus, str]:
    """Give how the replication slots are: lost is down, nearly full or unread is degraded."""
    for slot in slots:
        if slot.wal_status == "lost":
            return "down", f"the slot {slot.name} is lost; rowcast makes a new one and heals the gap from the table"
        if slot.safe_bytes is not None and slot.safe_bytes < _SAFE_BYTES:
            return "degraded", f"the slot {slot.name} has {slot.safe_bytes} bytes left before it is lost"
        if not slot.is_active:
            return "degraded", f"nobody reads the slot {slot.name}"
    return "ok", ""


class Watch:
    """Reads the status and tells health and metrics about it."""

    def __init__(
        self,
        *,
        reader: StatusReader,
        health: Health,
        metrics: Metrics,
        ping_every_s: float = 2.0,
        read_every_s: float = 10.0,
    ) -> None:
        """Take what to read and whom to tell; health expects the database from now on."""
        self._reader = reader
        self._health = health
        self._metrics = metrics
        self._ping_every_s = ping_every_s
        self._read_every_s = read_every_s
        self.status = Status()
        health.expect(DATABASE, within_s=2 * ping_every_s + _PING_TIMEOUT_S)

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        read_at = loop.time()
        while True:
            is_there = await self.look()
            if is_there and loop.time() >= read_at:
                await self.read()
                read_at = loop.time() + self._read_every_s
            await asyncio.sleep(self._ping_every_s)

    async def look(self) -> bool:
        """Ask the database for a sign of life and report it."""
        try:
            async with asyncio.timeout(_PING_TIMEOUT_S):
                await self._reader.ping()
        except (RowcastError, TimeoutError) as error:
            reason = str(error) or f"no answer within {_PING_TIMEOUT_S:.0f} s"
            self._health.report(DATABASE, "down", reason)
            return False
        self._health.report(DATABASE, "ok")
        return True

    async def read(self) -> None:
        """Read the status and show it; a reading that fails leaves the last one standing."""
        try:
            self.status = await self._reader.read()
        except StoreUnavailableError as error:
            tell("status.failed", code=error.code)
            return
        self._metrics.show(self.status)
        if self.status.slots:
            self._health.report(SLOT, *judge_slots(self.status.slots))
        else:
            self._health.forget(SLOT)
