"""The front door of rowcast: everything that an application imports, found when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rowcast.capture.watch import Watch as Watch
    from rowcast.core import errors as errors
    from rowcast.core.delivery import Delivery as Delivery
    from rowcast.core.errors import RowcastError as RowcastError
    from rowcast.core.event import Event as Event
    from rowcast.core.event import event_type as event_type
    from rowcast.core.event import upcaster as upcaster
    from rowcast.core.outcome import Delivered as Delivered
    from rowcast.core.outcome import Outcome as Outcome
    from rowcast.core.outcome import Rejected as Rejected
    from rowcast.core.outcome import Retry as Retry
    from rowcast.core.pack import Pack as Pack
    from rowcast.core.priority import Priority as Priority
    from rowcast.core.sink import Sink as Sink
    from rowcast.core.topic import Topic as Topic
    from rowcast.jobs.enqueue import enqueue as enqueue
    from rowcast.jobs.task import task as task
    from rowcast.outbox.emit import emit as emit
    from rowcast.outbox.emit import emit_many as emit_many
    from rowcast.realtime.channel_rules import ChannelAccess as ChannelAccess
    from rowcast.realtime.channel_rules import channel as channel
    from rowcast.realtime.owner_rules import OwnedTopic as OwnedTopic
    from rowcast.realtime.subscriptions import DeclaredChannel as DeclaredChannel
    from rowcast.router.rule import Rule as Rule
    from rowcast.router.rule import rule as rule
    from rowcast.webhooks.receive import verify_webhook as verify_webhook

_ROOMS = {
    "ChannelAccess": "realtime.channel_rules",
    "DeclaredChannel": "realtime.subscriptions",
    "Delivered": "core.outcome",
    "Delivery": "core.delivery",
    "Event": "core.event",
    "Outcome": "core.outcome",
    "OwnedTopic": "realtime.owner_rules",
    "Pack": "core.pack",
    "Priority": "core.priority",
    "Rejected": "core.outcome",
    "Retry": "core.outcome",
    "RowcastError": "core.errors",
    "Rule": "router.rule",
    "Sink": "core.sink",
    "Topic": "core.topic",
    "Watch": "capture.watch",
    "channel": "realtime.channel_rules",
    "emit": "outbox.emit",
    "emit_many": "outbox.emit",
    "enqueue": "jobs.enqueue",
    "event_type": "core.event",
    "rule": "router.rule",
    "task": "jobs.task",
    "upcaster": "core.event",
    "verify_webhook": "webhooks.receive",
}

__all__ = [  # noqa: RUF022 - in the order in which people meet them
    "Event", "event_type", "upcaster", "Topic", "Priority",
    "emit", "emit_many",
    "Rule", "rule",
    "task", "enqueue",
    "channel", "ChannelAccess", "OwnedTopic", "DeclaredChannel",
    "Sink", "Delivery", "Outcome", "Delivered", "Retry", "Rejected",
    "verify_webhook",
    "Pack", "Watch",
    "RowcastError", "errors",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Give a public name, importing its room now: `import rowcast` itself loads nothing."""
    if name == "errors":
        return import_module("rowcast.core.errors")
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module 'rowcast' has no attribute {name!r}")
    value = getattr(import_module(f"rowcast.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Give the public names."""
    return sorted(__all__)
