"""For tests of applications that use rowcast; its fixtures come with the package (`rowcast.testing.pytest_plugin`)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rowcast.testing.fake_clock import FakeClock as FakeClock
    from rowcast.testing.recording_sink import RecordingLiveSink as RecordingLiveSink
    from rowcast.testing.recording_sink import RecordingSink as RecordingSink
    from rowcast.testing.webhook_catcher import Caught as Caught
    from rowcast.testing.webhook_catcher import WebhookCatcher as WebhookCatcher

_MODULES = {
    "Caught": "webhook_catcher",
    "FakeClock": "fake_clock",
    "RecordingLiveSink": "recording_sink",
    "RecordingSink": "recording_sink",
    "WebhookCatcher": "webhook_catcher",
}

__all__ = ["Caught", "FakeClock", "RecordingLiveSink", "RecordingSink", "WebhookCatcher"]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, so that the plug-in costs nothing to tests that do not use it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"rowcast.testing.{_MODULES[name]}"), name)
