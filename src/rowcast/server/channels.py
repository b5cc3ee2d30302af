"""Channels in the server: those of the settings and of the packs, each name once."""

from collections.abc import Iterable, Mapping
from typing import Any

from rowcast.core.errors import ConfigError
from rowcast.realtime.subscriptions import DeclaredChannel, parse_channels


def declared_channels(
    items: Iterable[Mapping[str, Any]], declared: Iterable[DeclaredChannel]
) -> Mapping[str, DeclaredChannel]:
    """Give all channels by name: `[[channel]]` tables and what packs declare.

    Raises:
        InvalidInputError: `input.channel`.
        ConfigError: `config.channel`, when two have one name.
    """
    found: dict[str, DeclaredChannel] = {}
    for channel in (*declared, *parse_channels(items)):
        if channel.name in found:
            raise ConfigError(f"Two channels are named {channel.name!r}. Rename one of them.", code="config.channel")
        found[channel.name] = channel
    return found
