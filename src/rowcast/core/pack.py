"""A pack: event types, rules, tasks, watches and channels that belong together, as one value."""

import re

import msgspec

from rowcast.core.errors import UsageError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """What a plug-in brings. Found by the entry point `rowcast.packs` or named in the setting `packs`.

    `events` are payload classes, `rules` what `rule` gives, `tasks` what `task` gives, `watches` declared tables,
    `subscriptions` declared channels, `channels` who may join private ones: what `channel` gives, and `OwnedTopic`.
    They are objects here, because the floors above define them.
    """

    name: str
    events: tuple[type, ...] = ()
    rules: tuple[object, ...] = ()
    tasks: tuple[object, ...] = ()
    watches: tuple[object, ...] = ()
    subscriptions: tuple[object, ...] = ()
    channels: tuple[object, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a name that cannot stand in settings and metrics, and a part that is no tuple.

        Raises:
            UsageError: `usage.pack`.
        """
        if not _NAME.match(self.name):
            raise UsageError(
                f"The pack's name {self.name[:80]!r} must be a lower-case word: letters, digits and '_'.",
                code="usage.pack",
            )
        for part in ("events", "rules", "tasks", "watches", "subscriptions", "channels"):
            if not isinstance(getattr(self, part), tuple):
                raise UsageError(
                    f"{part} of the pack {self.name} must be a tuple. Write ({part}[0], ...).", code="usage.pack"
                )
