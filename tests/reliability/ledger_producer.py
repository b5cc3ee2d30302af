"""The producers of a ledger run, in a process of their own.

Each thread owns some keys. A transaction takes the next number of a key under its row lock, emits the event, and commits or
rolls back. What became of it goes to a file, one JSON line each, `unknown` where the connection died during the commit.

usage: python -m tests.reliability.ledger_producer DSN FOLDER THREADS KEYS PAUSE_S
The run ends when FOLDER/stop exists.
"""

import json
import random
import sys
import threading
import time
import uuid
from pathlib import Path

import psycopg

from rowcast import emit
from rowcast.core.clock import SystemClock
from rowcast.core.ids import uuid7
from tests.reliability.ledger_pack import Counted

TENANTS = ("red", "green", "blue")
ABORT_SHARE = 0.08


class Producer:
    """One thread with its own connection, keys and file."""

    def __init__(self, dsn: str, folder: Path, number: int, keys: int, pause_s: float) -> None:
        self.dsn, self.folder, self.number, self.pause_s = dsn, folder, number, pause_s
        self.keys = [f"k{number}-{index}" for index in range(keys)]
        self.noise = random.Random(number)
        self.file = (folder / f"written-{number}.jsonl").open("a", buffering=1)

    def run(self) -> None:
        while not (self.folder / "stop").exists():
            try:
                with psycopg.connect(self.dsn, autocommit=False, connect_timeout=5) as connection:
                    self._produce(connection)
            except (psycopg.Error, OSError):
                time.sleep(0.1 + self.noise.random() * 0.2)

    def _produce(self, connection: psycopg.Connection) -> None:
        while not (self.folder / "stop").exists():
            self._transact(connection)
            time.sleep(self.pause_s * (0.5 + self.noise.random()))

    def _transact(self, connection: psycopg.Connection) -> None:
        tenant, key = self.noise.choice(TENANTS), self.noise.choice(self.keys)
        made, number, fate = uuid7(SystemClock().now()), -1, "unknown"
        try:
            row = connection.execute(
                "insert into ledger_key (tenant, key, number) values (%s, %s, 1) "
                "on conflict (tenant, key) do update set number = ledger_key.number + 1 returning number",
                (tenant, key),
            ).fetchone()
            assert row is not None
            number = row[0]
            connection.execute("insert into ledger_row (event_id, tenant, key, number) values (%s, %s, %s, %s)", (made, tenant, key, number))
            emit(connection, Counted(tenant=tenant, key=key, number=number), tenant_id=tenant, id=made)
            if self.noise.random() < ABORT_SHARE:
                connection.rollback()
                fate = "aborted"
            else:
                connection.commit()
                fate = "committed"
        finally:
            if number >= 0:
                self._record(made, tenant, key, number, fate)

    def _record(self, made: uuid.UUID, tenant: str, key: str, number: int, fate: str) -> None:
        line = {"event_id": str(made), "tenant": tenant, "key": key, "seq": number, "fate": fate}
        self.file.write(json.dumps(line) + "\n")


def main(dsn: str, folder: str, threads: str, keys: str, pause_s: str) -> None:
    producers = [Producer(dsn, Path(folder), number, int(keys), float(pause_s)) for number in range(int(threads))]
    running = [threading.Thread(target=producer.run, name=f"producer-{producer.number}") for producer in producers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(timeout=600)


if __name__ == "__main__":
    main(*sys.argv[1:])
