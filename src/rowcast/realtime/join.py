"""What a client asks for when it joins, read leniently: a wrong type never refuses a join. Pure."""

import zlib

import msgspec

from rowcast.core.codec import encode_json


class JoinRequest(msgspec.Struct, frozen=True):
    """The payload of `phx_join` with every default filled in. `access_token` is None when the socket's token counts."""

    is_private: bool = False
    wants_ack: bool = False
    wants_own: bool = False
    access_token: str | None = None
    postgres_changes: tuple[dict[str, object], ...] = ()


def read_join(payload: msgspec.Raw) -> JoinRequest:
    """Give what the payload of a join asks for."""
    found = read_object(payload)
    config = _object(found.get("config"))
    broadcast = _object(config.get("broadcast"))
    return JoinRequest(
        is_private=_flag(config.get("private")),
        wants_ack=_flag(broadcast.get("ack")),
        wants_own=_flag(broadcast.get("self")),
        access_token=own_token(found.get("access_token")) or own_token(found.get("user_token")),
        postgres_changes=_bindings(config.get("postgres_changes")),
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
    return [
        {**binding, "id": zlib.crc32(encode_json(sorted(binding.items()))) % (2**27 - 1) + 1} for binding in bindings
    ]


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _flag(value: object) -> bool:
    return value is True or value in ("true", "True")


def _bindings(value: object) -> tuple[dict[str, object], ...]:
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()
