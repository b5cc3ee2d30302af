"""The rights to channels in the database: granted, given back, shown to the user himself, swept when they are dead."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID, uuid4

import msgspec

from rowcast.core.codec import encode_json
from rowcast.core.errors import LimitExceededError, NotFoundError
from rowcast.core.telemetry import tell
from rowcast.realtime.audit import storable
from rowcast.realtime.subscriptions import Grant
from rowcast.store.pool import Connection, Database
from rowcast.store.sql import load_queries

SILENCE_S = 300.0
"""What has given no sign of life for so long is dead."""
_PAGE = 500
_FORGET = 10_000


class SubscriptionLimits(msgspec.Struct, frozen=True):
    """How many channels one user may subscribe to in `window_s` seconds, on all nodes together."""

    subscriptions: int = 10
    window_s: float = 60.0


class Granted(msgspec.Struct, frozen=True, rename="camel"):
    """A right that was recorded, and where it may be used."""

    channel: str
    channel_id: UUID
    status: str
    topic: str
    event: str
    schema: str
    table: str
    filter: str


class OwnChannel(msgspec.Struct, frozen=True, rename="camel"):
    """A channel of a user. `joined_at` is None while no socket has joined it."""

    channel_id: UUID
    channel: str
    topic: str
    filter: str | None
    created_at: datetime
    joined_at: datetime | None
    last_ping_at: datetime


class OwnStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What is measured of one user: his sockets and channels now, his messages of the last 24 hours."""

    connected: bool
    active_connections: int
    active_channels: int
    message_count: int
    last_message_at: datetime | None
    channels: tuple[OwnChannel, ...]


class Statistics(msgspec.Struct, frozen=True, rename="camel"):
    """What is measured of one tenant. Messages are those of today (UTC), the average is over today's connections."""

    active_connections: int
    active_channels: int
    active_users: int
    messages_today: int
    average_per_connection: float


class User(msgspec.Struct, frozen=True):
    """For whom something is done: always from the verified token."""

    tenant_id: str
    user_id: str


class SubscriptionTable:
    """The rights of users. Each statement about a user runs under row-level security as that user."""

    __slots__ = ("_database", "_limits", "_queries")

    def __init__(self, *, database: Database, limits: SubscriptionLimits | None = None) -> None:
        """Stand on `database`."""
        self._database = database
        self._limits = limits or SubscriptionLimits()
        self._queries = load_queries("rowcast.realtime")

    async def grant(self, user: User, grants: Sequence[Grant], *, connection_id: str = "") -> Sequence[Granted]:
        """Record what a user may hear, all of it or nothing.

        Raises:
            LimitExceededError: `limit.subscriptions`, counted by channels, with the time to wait.
        """
        await self._take_turns(user, len(grants))
        connection = connection_id or f"http:{uuid4()}"
        async with self._as_user(user) as session:
            rows = await session.fetch(
                self._queries["grant_channels"],
                tenant_id=user.tenant_id,
                user_id=user.user_id,
                connection_id=connection,
                topics=[grant.topic for grant in grants],
                channels=[grant.channel for grant in grants],
                tables=[f"{grant.schema}.{grant.table}" for grant in grants],
                filters=[encode_json({"event": grant.event, "filter": grant.filter}).decode() for grant in grants],
            )
        ids = {row["topic"]: row["id"] for row in rows}
        await self._log(user, "subscribe", [(ids[grant.topic], grant.topic) for grant in grants], connection=connection)
        return [_granted(grant, ids[grant.topic]) for grant in grants]

    async def refuse(self, user: User, channels: Sequence[str], *, code: str) -> None:
        """Keep in the audit that a user asked for what he may not hear."""
        topics: list[tuple[UUID | None, str]] = [(None, storable(channel)) for channel in channels[:10]]
        await self._log(user, "refusal", topics, code=code)

    async def give_back(self, user: User, ids: Sequence[UUID], *, is_all: bool = False) -> int:
        """End channels of a user and give how many.

        Raises:
            NotFoundError: `input.not_found`, when one of them is not his; then none is ended.
        """
        async with self._as_user(user) as session:
            rows = await session.fetch(self._queries["end_channels"], ids=list(set(ids)), is_all=is_all)
            if not is_all and len(rows) < len(set(ids)):
                raise NotFoundError("There is no such subscription of yours. GET /api/realtime/status lists them.")
        if rows:
            await self._log(user, "unsubscribe", [(row["id"], row["topic"]) for row in rows])
        return len(rows)

    async def status(self, user: User) -> OwnStatus:
        """Give what is measured of a user."""
        async with self._as_user(user) as session:
            rows = await session.fetch(self._queries["own_channels"], silence_s=SILENCE_S, most=_PAGE)
            heard = await session.fetch_one(self._queries["own_messages"])
        joined = [row for row in rows if row["joined_at"] is not None]
        return OwnStatus(
            connected=bool(joined),
            active_connections=len({row["connection_id"] for row in joined}),
            active_channels=len(joined),
            message_count=heard["messages"] if heard else 0,
            last_message_at=heard["last_message_at"] if heard else None,
            channels=tuple(_own_channel(row) for row in rows),
        )

    async def statistics(self, tenant_id: str) -> Statistics:
        """Give what is measured of a tenant."""
        row = await self._database.fetch_one(
            self._queries["connection_statistics"], tenant_id=tenant_id, silence_s=SILENCE_S
        )
        found = dict(row or {})
        return Statistics(
            active_connections=found["connections"],
            active_channels=found["channels"],
            active_users=found["users"],
            messages_today=found["messages_today"],
            average_per_connection=round(found["messages_today"] / max(1, found["connections_today"]), 2),
        )

    async def sweep(self, *, keep_days: int = 30) -> int:
        """Remove what is dead, and logs and counts older than `keep_days`; gives how many channels were removed."""
        row = await self._database.fetch_one(self._queries["sweep_subscriptions"], silence_s=SILENCE_S)
        removed, expired = (int(row["removed"]), int(row["expired"])) if row else (0, 0)
        await self._database.execute(self._queries["forget_activity"], days=keep_days, most=_FORGET)
        await self._database.execute(self._queries["forget_counts"], days=keep_days)
        await self._database.execute(self._queries["forget_turns"])
        tell("subscriptions.swept", removed=removed, expired=expired)
        return removed

    async def _take_turns(self, user: User, wanted: int) -> None:
        limits = self._limits
        row = await self._database.fetch_one(
            self._queries["take_turns"],
            tenant_id=user.tenant_id,
            user_id=user.user_id,
            wanted=wanted,
            most=limits.subscriptions,
            window_s=limits.window_s,
        )
        wait_s = float(row["wait_s"]) if row else 0.0
        if wait_s > 0:
            raise LimitExceededError(
                f"At most {limits.subscriptions} subscriptions in {limits.window_s:g} seconds; wait {wait_s:.0f} s.",
                retry_after_s=wait_s,
                code="limit.subscriptions",
            )

    async def _log(
        self,
        user: User,
        event_type: str,
        topics: Sequence[tuple[UUID | None, str]],
        *,
        connection: str = "",
        code: str = "",
    ) -> None:
        await self._database.execute(
            self._queries["log_about_user"],
            tenant_id=user.tenant_id,
            user_id=user.user_id,
            connection_id=connection,
            event_type=event_type,
            payload=encode_json({"code": code} if code else {}).decode(),
            channel_ids=[channel_id for channel_id, _ in topics],
            topics=[topic for _, topic in topics],
        )

    @asynccontextmanager
    async def _as_user(self, user: User) -> AsyncIterator[Connection]:
        async with self._database.as_tenant(user.tenant_id) as session:
            await session.execute(self._queries["speak_for_user"], user_id=user.user_id)
            yield session


def _granted(grant: Grant, channel_id: UUID) -> Granted:
    return Granted(
        grant.channel, channel_id, "active", grant.topic, grant.event, grant.schema, grant.table, grant.filter
    )


def _own_channel(row: object) -> OwnChannel:
    found = dict(row)  # type: ignore[call-overload]
    declared = msgspec.json.decode(found["filter"]) if found["filter"] else {}
    return OwnChannel(
        channel_id=found["id"],
        channel=found["channel"],
        topic=found["topic"],
        filter=declared.get("filter"),
        created_at=found["created_at"],
        joined_at=found["joined_at"],
        last_ping_at=found["last_ping_at"],
    )
