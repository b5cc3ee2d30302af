"""The faults of a ledger run: a fixed number of each, spread over its time; each is counted when it has happened."""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from rowcast.server.embedded import EmbeddedPostgres
from tests.reliability.ledger_nodes import Node

PATIENCE_S = 90.0


@dataclass(frozen=True)
class Schedule:
    """How many of each fault, in how many seconds, and who meets them; `leader` is the relay that is at work."""

    seconds: float = 60.0
    kills: int = 45
    database_stops: int = 3
    freezes: int = 4
    freeze_s: tuple[float, float] = (4.5, 5.5)
    kill_roles: tuple[str, ...] = ("relay", "delivery")
    freeze_roles: tuple[str, ...] = ("leader", "delivery")

    def plan(self) -> list[tuple[float, str]]:
        """Give when what is to happen, in order. Freezes and database stops keep apart from each other."""
        counts = {"kill": self.kills, "freeze": self.freezes, "database": self.database_stops}
        shift = {"kill": 0.5, "freeze": 0.15, "database": 0.7}
        return sorted(
            ((number + shift[kind]) / count * self.seconds, kind)
            for kind, count in counts.items()
            for number in range(count)
        )


class Faults:
    """Carries a schedule out."""

    def __init__(self, nodes: list[Node], server: EmbeddedPostgres, loop: asyncio.AbstractEventLoop, seed: int) -> None:
        self._nodes, self._server, self._loop = nodes, server, loop
        self._noise = random.Random(seed)
        self._frozen: list[threading.Thread] = []
        self.database_stops = 0

    @property
    def kills(self) -> int:
        """Give how many running processes were killed."""
        return sum(node.kills for node in self._nodes)

    @property
    def freezes(self) -> int:
        """Give how many processes stood still past their lease and woke up."""
        return sum(node.freezes for node in self._nodes)

    def crashes(self, role: str) -> int:
        """Give how often a process of this role lost what it had in flight."""
        mine = [node for node in self._nodes if node.role == role]
        return sum(node.kills + node.freezes + len(node.ended) for node in mine) + self.database_stops * len(mine)

    def run(self, schedule: Schedule, is_enough: Callable[[], bool]) -> None:
        """Do everything that is planned; where the machine is slow, in more time, and go on until enough was written."""
        begin = time.monotonic()
        for at, kind in schedule.plan():
            self._wait_until(begin + at)
            self._do(kind, schedule)
        self._wait_until(begin + schedule.seconds)
        while not is_enough() and time.monotonic() < begin + 3 * schedule.seconds:
            self._wait_until(time.monotonic() + 0.5)
        for thread in self._frozen:
            thread.join(timeout=60)

    def revive(self) -> None:
        """Start again every node that ended by itself."""
        for node in self._nodes:
            node.revive()

    def _wait_until(self, at: float) -> None:
        while (left := at - time.monotonic()) > 0:
            self.revive()
            time.sleep(min(left, 0.2))

    def _do(self, kind: str, schedule: Schedule) -> None:
        if kind == "database":
            asyncio.run_coroutine_threadsafe(self._restart_database(), self._loop).result(timeout=60)
            self.database_stops += 1
        elif kind == "kill":
            self._victim(schedule.kill_roles).kill_and_restart()
        else:
            role = schedule.freeze_roles[len(self._frozen) % len(schedule.freeze_roles)]
            self._freeze(self._victim((role,)), schedule)

    async def _restart_database(self) -> None:
        await self._server.stop("immediate")
        await asyncio.sleep(0.3)
        await self._server.start()

    def _freeze(self, node: Node, schedule: Schedule) -> None:
        thread = threading.Thread(target=node.freeze, args=(self._noise.uniform(*schedule.freeze_s),))
        self._frozen.append(thread)
        thread.start()
        while not node.is_frozen and thread.is_alive():
            time.sleep(0.001)

    def _victim(self, roles: tuple[str, ...]) -> Node:
        """Wait for a process that is at work. Never a frozen one: that must wake up and meet its fence."""
        give_up_at = time.monotonic() + PATIENCE_S
        while not (found := self._at_work(roles)):
            assert time.monotonic() < give_up_at, f"no {' or '.join(roles)} came to work in {PATIENCE_S} s"
            self._wait_until(time.monotonic() + 0.1)
        return self._noise.choice(found)

    def _at_work(self, roles: tuple[str, ...]) -> list[Node]:
        """Give the one that leads, or the two at work that have run longest."""
        if roles == ("leader",):
            return [node for node in self._nodes if node.role == "relay" and node.leads][:1]
        ready = [node for node in self._nodes if node.role in roles and node.is_at_work]
        return sorted(ready, key=lambda node: node.started_at)[:2]
