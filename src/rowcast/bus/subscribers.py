"""Who listens in this process: the half that every bus has in common."""

from collections.abc import Callable, Sequence
from functools import partial

from rowcast.bus.bus import Subscriber
from rowcast.core.telemetry import tell


class Subscribers:
    """The subscribers of each subject, in the order in which they came."""

    __slots__ = ("_by_subject",)

    def __init__(self) -> None:
        """Start without any."""
        self._by_subject: dict[str, dict[object, Subscriber]] = {}

    def add(self, subject: str, subscriber: Subscriber) -> Callable[[], None]:
        """Add one and give the function that removes it; that may be called twice."""
        token = object()
        self._by_subject.setdefault(subject, {})[token] = subscriber
        return partial(self._remove, subject, token)

    def tell(self, subject: str, messages: Sequence[bytes]) -> None:
        """Hand messages over, in order. One that fails does not keep them from the others."""
        for subscriber in tuple(self._by_subject.get(subject, {}).values()):
            for message in messages:
                _hand_over(subject, subscriber, message)

    def has(self, subject: str) -> bool:
        """Tell whether anybody listens to a subject."""
        return subject in self._by_subject

    def _remove(self, subject: str, token: object) -> None:
        found = self._by_subject.get(subject, {})
        found.pop(token, None)
        if not found:
            self._by_subject.pop(subject, None)


def _hand_over(subject: str, subscriber: Subscriber, message: bytes) -> None:
    try:
        subscriber(message)
    except Exception as error:  # noqa: BLE001 - the contract forbids it; its neighbours must not pay for it
        tell("bus.subscriber_crashed", subject=subject, error=type(error).__name__)
