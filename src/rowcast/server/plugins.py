"""Packs: found by entry point or by name, loaded the same way whoever wrote them."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rowcast.core.errors import ConfigError
from rowcast.core.pack import Pack

GROUP = "rowcast.packs"


def load_packs(
    names: Iterable[str], installed: Iterable[EntryPoint] | None = None, *, beside: Iterable[Pack] = ()
) -> tuple[Pack, ...]:
    """Give the installed packs and the named ones.

    Args:
        names: `module:name` each, as in the setting `packs`; modules of the current folder are found too.
        installed: Instead of the entry points of group `rowcast.packs`.
        beside: Packs that are there already; they come first.
    Raises:
        ConfigError: `config.pack`, for a pack that cannot be loaded or whose name is taken.
    """
    found = entry_points(group=GROUP) if installed is None else installed
    packs = [*beside, *(_load(point.load, point.value) for point in found)]
    packs += [_load(partial(_named, name), name) for name in names]
    _check_names(packs)
    return tuple(packs)


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    # A program that pip installed does not look into the current folder, and that is where a user's own pack lies.
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return getattr(import_module(module), attribute or "pack")


def _load(load: Callable[[], Any], name: str) -> Pack:
    try:
        pack = load()
    except Exception as error:
        raise ConfigError(
            f"The pack {name} cannot be loaded ({type(error).__name__}: {error}). It must name a Pack as module:name.",
            code="config.pack",
        ) from error
    if not isinstance(pack, Pack):
        raise ConfigError(f"The pack {name} is a {type(pack).__name__}; it must be a rowcast.Pack.", code="config.pack")
    return pack


def _check_names(packs: Iterable[Pack]) -> None:
    seen: set[str] = set()
    for pack in packs:
        if pack.name in seen:
            raise ConfigError(f"Two packs are named {pack.name!r}. Load one of them only.", code="config.pack")
        seen.add(pack.name)


def options_of(packs: Iterable[Pack]) -> Mapping[str, tuple[Any, ...]]:
    """Give the events, rules, tasks, watches, subscriptions and channels of all packs together."""
    listed = tuple(packs)
    return {
        part: tuple(item for pack in listed for item in getattr(pack, part))
        for part in ("events", "rules", "tasks", "watches", "subscriptions", "channels")
    }
