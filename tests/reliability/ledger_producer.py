"""The producers of a ledger run, in a process of their own.

Each thread owns some keys. A transaction takes the next number of a key under its row lock, writes the event in the way
of that key, and commits or rolls back; some stay open for a while first, so that later numbers are committed earlier.
What became of it goes to a file, one JSON line each, `unknown` where the connection died during the commit.

usage: python -m tests.reliability.ledger_producer DSN FOLDER THREADS KEYS PAUSE_S
The run ends when FOLDER/stop exists.
"""

import json
import random
import sys
import threading
import time
from pathlib import Path

import psycopg

from rowcast import emit
from rowcast.core.clock import SystemClock
from rowcast.core.ids import uuid7
from tests.reliability.ledger_pack import Counted

TENANTS = ("red", "green", "blue")
WAYS = ("emit", "sql", "row")
"""Python's emit; the SQL function; a change of a watched table."""
ABORT_SHARE = 0.08
OPEN_SHARE = 0.05
OPEN_S = 0.6

_NEXT_NUMBER = (
    "insert into ledger_key (tenant, key, number) values (%s, %s, 1) "
    "on conflict (tenant, key) do update set number = ledger_key.number + 1 returning number"
)
_CHANGE_ROW = (
    "insert into ledger_item (tenant, key, number, mark) values (%s, %s, 1, %s) on conflict (tenant, key) "
    "do update set number = ledger_item.number + 1, mark = excluded.mark returning number"
)
_EMIT = "select rowcast.emit(%s, 'ledger.counted', %s::jsonb, 'key', %s)"


class Producer:
    """One thread with its own connection, keys and file."""

    def __init__(self, dsn: str, folder: Path, number: int, keys: int, pause_s: float) -> None:
        self.dsn, self.folder, self.number, self.pause_s = dsn, folder, number, pause_s
        self.keys = [(f"k{number}-{index}", WAYS[index % len(WAYS)]) for index in range(keys)]
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
        tenant, (key, way) = self.noise.choice(TENANTS), self.noise.choice(self.keys)
        mark, number, fate = str(uuid7(SystemClock().now())), -1, "unknown"
        try:
            number = _write(connection, tenant, key, way, mark)
            connection.execute("insert into ledger_row (mark) values (%s)", (mark,))
            if self.noise.random() < OPEN_SHARE:
                time.sleep(OPEN_S * self.noise.random())
            if self.noise.random() < ABORT_SHARE:
                connection.rollback()
                fate = "aborted"
            else:
                connection.commit()
                fate = "committed"
        finally:
            if number >= 0:
                line = {"mark": mark, "tenant": tenant, "key": key, "seq": number, "fate": fate, "way": way}
                self.file.write(json.dumps(line) + "\n")


def _write(connection: psycopg.Connection, tenant: str, key: str, way: str, mark: str) -> int:
    """Take the next number of a key and write its event."""
    if way == "row":
        return _one(connection, _CHANGE_ROW, (tenant, key, mark))
    number = _one(connection, _NEXT_NUMBER, (tenant, key))
    counted = Counted(tenant=tenant, key=key, number=number, mark=mark)
    if way == "emit":
        emit(connection, counted, tenant_id=tenant)
    else:
        payload = json.dumps({"tenant": tenant, "key": key, "number": number, "mark": mark})
        connection.execute(_EMIT, (tenant, payload, key))
    return number


def _one(connection: psycopg.Connection, statement: str, values: tuple[str, ...]) -> int:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return int(row[0])


def main(dsn: str, folder: str, threads: str, keys: str, pause_s: str) -> None:
    producers = [Producer(dsn, Path(folder), number, int(keys), float(pause_s)) for number in range(int(threads))]
    running = [threading.Thread(target=producer.run, name=f"producer-{producer.number}") for producer in producers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(timeout=600)


if __name__ == "__main__":
    main(*sys.argv[1:])
