"""Which feed a relay reads: the log where it can be streamed, the table where something is missing for that."""

from typing import Literal

import msgspec

from rowcast.core.telemetry import tell
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries

Asked = Literal["auto", "wal", "claim"]
Obstacle = Literal["wal_level", "replication_role", "publication_right"]


class StreamRights(msgspec.Struct, frozen=True):
    """What the server and our role have of what streaming needs."""

    wal_level: str
    may_replicate: bool
    may_publish: bool


def find_obstacle(rights: StreamRights) -> Obstacle | None:
    """Give the first thing that keeps the log from being streamed, or None."""
    if rights.wal_level != "logical":
        return "wal_level"
    if not rights.may_replicate:
        return "replication_role"
    return None if rights.may_publish else "publication_right"


async def read_stream_rights(database: Database) -> StreamRights:
    """Give what the server says of itself and of our role."""
    row = await database.fetch_one(load_queries("rowcast.server")["stream_rights"])
    return msgspec.convert(dict(row or {}), StreamRights)


async def is_log_streamed(database: Database, asked: Asked) -> bool:
    """Decide for the log or the table. Where `auto` has to take the table, it is told why."""
    if asked != "auto":
        return asked == "wal"
    obstacle = find_obstacle(await read_stream_rights(database))
    if obstacle is not None:
        tell("feed.log_not_streamed", feed="claim", missing=obstacle)
    return obstacle is None
