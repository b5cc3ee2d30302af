"""The wire's thread: its beginning and its end."""

import threading
from collections.abc import Callable

import certifi
import pytest

from rowcast.egress.guard import Policy, parse_url
from rowcast.egress.reply import EgressFailure, EgressSettings
from rowcast.egress.transfer import Request, Transfer
from rowcast.egress.wire import Finished, Wire

REQUEST = Request(parse_url("https://hooks.example.com/"), [], b"{}", ("8.8.8.8",), 1.0)


class Reports:
    """Keeps what a wire reported."""

    def __init__(self) -> None:
        self.kinds: dict[int, str] = {}
        self.came = threading.Event()

    def __call__(self, finished: Finished) -> None:
        for number, answer in finished:
            assert isinstance(answer, EgressFailure)
            self.kinds[number] = answer.kind
            self.came.set()


def wire(reports: Reports, make_transfer: Callable[[], Transfer] | None = None) -> Wire:
    def make() -> Transfer:
        return Transfer(settings=EgressSettings(), policy=Policy(), ca_file=certifi.where())

    return Wire(make_transfer=make_transfer or make, report=reports, max_connections=4)


def end(ended: Wire) -> None:
    ended.stop()
    ended.join(5.0)


def test_wire_ends_without_having_been_used() -> None:
    ended = wire(Reports())
    ended.start()
    end(ended)


def test_order_that_was_never_begun_is_reported_as_closed() -> None:
    reports = Reports()
    ended = wire(reports)
    ended.send(1, REQUEST)
    ended.stop()
    ended.start()
    ended.join(5.0)

    assert reports.kinds == {1: "closed"}


def test_order_after_the_end_is_reported_as_closed_and_a_late_drop_is_harmless() -> None:
    reports = Reports()
    ended = wire(reports)
    ended.start()
    end(ended)

    ended.send(1, REQUEST)
    ended.drop(1)

    assert reports.kinds == {1: "closed"}


def test_request_that_libcurl_will_not_take_is_reported_as_invalid() -> None:
    reports = Reports()
    running = wire(reports)
    running.start()
    running.send(1, Request(parse_url("https://hooks.example.com/"), ["x: \x00"], b"{}", ("8.8.8.8",), 1.0))
    running.wake()

    assert reports.came.wait(5.0)
    end(running)
    assert reports.kinds == {1: "invalid"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread_that_ended_before_it_was_told_to_leaves_a_wire_that_still_stops() -> None:
    def broken() -> Transfer:
        raise MemoryError

    reports = Reports()
    ended = wire(reports, broken)
    ended.send(1, REQUEST)
    ended.start()
    while any(thread.name == "rowcast-egress" for thread in threading.enumerate()):
        threading.Event().wait(0.01)

    ended.send(2, REQUEST)
    end(ended)
    end(ended)

    assert reports.kinds[2] == "closed"
