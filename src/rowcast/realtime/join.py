"""What a client asks for when it joins, read leniently: a wrong type never refuses a join. Pure."""

import math
import zlib
from datetime import UTC, datetime
from typing import TypeGuard

import msgspec

from rowcast.core.codec import encode_json
from rowcast.realtime.change_source import Binding

REPLAY_LIMIT = 25
_WAIT_MS, _LONGEST_WAIT_MS = 15_000, 20_000
_SESSION_LIMIT_CHARS = 128
_LATEST_MS = 253_402_300_799_000


class Replay(msgspec.Struct, frozen=True):
    """The wish to hear what was told since a moment, the newest `limit` of it."""

    since: datetime
    limit: int = REPLAY_LIMIT


class InvalidReplay(msgspec.Struct, frozen=True):
    """A wish for a replay that cannot be read; it refuses the join."""


class JoinRequest(msgspec.Struct, frozen=True):
    """The payload of `phx_join` with every default filled in. `access_token` is None when the socket's token counts.

    `recovers` names the session for which nothing may be lost. `presence_name` is empty when the server is to choose.
    With `wants_ready` the client is told when messages of the database reach it. With `changes_wait_ms` the join waits
    so long for its changes and is refused without them. `is_legacy`: a client from before there was a `config`, which
    names what it wants in the topic and gets each change as an event of its own.
    """

    is_private: bool = False
    wants_ack: bool = False
    wants_own: bool = False
    access_token: str | None = None
    postgres_changes: tuple[dict[str, object], ...] = ()
    wants_presence: bool = False
    presence_name: str = ""
    replay: Replay | InvalidReplay | None = None
    recovers: str | None = None
    wants_ready: bool = False
    changes_wait_ms: int | None = None
    is_legacy: bool = False


def read_join(payload: msgspec.Raw, *, name: str = "") -> JoinRequest:
    """Give what the payload of a join asks for; `name` is that of the channel, where older clients said it."""
    found = read_object(payload)
    if name and "config" not in found:
        return _legacy_join(found, name)
    config = _object(found.get("config"))
    broadcast, presence = _object(config.get("broadcast")), _object(config.get("presence"))
    key = presence.get("key")
    return JoinRequest(
        is_private=_flag(config.get("private")),
        wants_ack=_flag(broadcast.get("ack")),
        wants_own=_flag(broadcast.get("self")),
        access_token=_join_token(found),
        postgres_changes=_bindings(config.get("postgres_changes")),
        # Clients from before there was this switch do not name it, and show nobody until they were told who is there.
        wants_presence=_flag(presence.get("enabled", "key" in presence)),
        presence_name=key if isinstance(key, str) else "",
        replay=_replay(broadcast.get("replay")),
        recovers=_session(broadcast.get("recover")),
        wants_ready=_flag(broadcast.get("replication_ready")),
        changes_wait_ms=_changes_wait_ms(_object(config.get("postgres_changes_options"))),
    )


def read_object(payload: msgspec.Raw) -> dict[str, object]:
    """Give a payload as an object; empty when it is none."""
    try:
        return _object(msgspec.json.decode(payload))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}


def own_token(value: object) -> str | None:
    """Give a token that a client brought; None for none, and for a publishable key, which is no JWT."""
    if not isinstance(value, str) or not value.strip() or value.startswith("sb_"):
        return None
    return value.strip()


def echoed_bindings(bindings: tuple[dict[str, object], ...]) -> list[dict[str, object]]:
    """Give the bindings back, each with an id: never 0, and the same for the same parameters."""
    return [{**binding, "id": _binding_id(binding)} for binding in bindings]


def read_bindings(bindings: tuple[dict[str, object], ...]) -> tuple[Binding, ...]:
    """Give the bindings as a source of changes wants them; one without schema and table has the schema ``."""
    return tuple(_binding(binding) for binding in bindings)


def _legacy_join(found: dict[str, object], name: str) -> JoinRequest:
    """The channel's name is `schema`, `schema:table` or `schema:table:filter`."""
    binding: dict[str, object] = dict(zip(("schema", "table", "filter"), name.split(":", 2), strict=False))
    return JoinRequest(access_token=_join_token(found), postgres_changes=(binding,), is_legacy=True)


def _join_token(found: dict[str, object]) -> str | None:
    return own_token(found.get("access_token")) or own_token(found.get("user_token"))


def _changes_wait_ms(options: dict[str, object]) -> int | None:
    if not _flag(options.get("wait")):
        return None
    asked = options.get("timeout")
    return min(int(asked), _LONGEST_WAIT_MS) if _is_number(asked) and asked >= 1 else _WAIT_MS


def _binding(found: dict[str, object]) -> Binding:
    table = _text(found.get("table"))
    return Binding(
        id=_binding_id(found),
        event=_text(found.get("event")) or "*",
        # Only a table means the schema `public`.
        schema=_text(found.get("schema")) or ("public" if table else ""),
        table=table,
        filter=_filter(found.get("filter")),
        select=_select(found.get("select")),
    )


def _filter(value: object) -> str | None:
    # What is no text is refused as a filter that cannot be read: whoever wants less must not hear everything.
    return value if value is None or isinstance(value, str) else encode_json(value).decode()


def _binding_id(binding: dict[str, object]) -> int:
    return zlib.crc32(encode_json(sorted(binding.items()))) % (2**27 - 1) + 1


def _replay(value: object) -> Replay | InvalidReplay | None:
    if value is None or value == {}:
        return None
    found = _object(value)
    since, limit = found.get("since"), found.get("limit", REPLAY_LIMIT)
    if not _is_number(since) or not _is_number(limit) or not 1 <= limit <= REPLAY_LIMIT or not 0 <= since <= _LATEST_MS:
        return InvalidReplay()
    return Replay(datetime.fromtimestamp(since / 1000, UTC), int(limit))


def _session(value: object) -> str | None:
    name = _object(value).get("session")
    return name if isinstance(name, str) and 0 < len(name) <= _SESSION_LIMIT_CHARS and name.isprintable() else None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _select(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return None
    return tuple(value)


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _flag(value: object) -> bool:
    return value is True or value in ("true", "True")


def _bindings(value: object) -> tuple[dict[str, object], ...]:
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()
