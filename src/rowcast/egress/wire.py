"""The wire: one thread that drives all exchanges through libcurl, so that the event loop never waits for a socket."""

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pycurl

from rowcast.egress.reply import Answer, EgressFailure
from rowcast.egress.transfer import Request, Transfer

Finished = list[tuple[int, Answer]]
Report = Callable[[Finished], None]

_POLL_BITS = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}
_CLOSED = EgressFailure("closed", "this process is shutting down")
_LONGEST_WAIT_S = 1.0


class Wire:
    """Runs exchanges by number. Orders come in from any thread; results go out in batches through `report`."""

    def __init__(self, *, make_transfer: Callable[[], Transfer], report: Report, max_connections: int) -> None:
        """Prepare the thread; `start` starts it.

        Args:
            make_transfer: Makes one more handle; called on the wire's thread.
            report: Called on the wire's thread with everything that ended since the last call.
            max_connections: Connections kept open at most.
        """
        self._make_transfer = make_transfer
        self._report = report
        self._orders: deque[tuple[int, Request | None]] = deque()
        self._running: dict[int, Transfer] = {}
        self._numbers: dict[pycurl.Curl, int] = {}
        self._idle: list[Transfer] = []
        self._selector = selectors.DefaultSelector()
        self._ear, self._mouth = socket.socketpair()
        self._is_woken = self._is_stopping = self._is_joined = False
        self._due_s: float | None = None
        self._multi = self._make_multi(max_connections)
        self._thread = threading.Thread(target=self._run, name="rowcast-egress", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def send(self, number: int, request: Request) -> None:
        """Order an exchange, to be begun after the next `wake`; its result is reported under `number`."""
        self._orders.append((number, request))
        if self._is_stopping:
            self._report([(number, _CLOSED)])

    def drop(self, number: int) -> None:
        """Order an exchange to be given up after the next `wake`; nothing is reported for it."""
        self._orders.append((number, None))

    def stop(self) -> None:
        """Order the end: what is under way is reported as closed. `join` waits for it."""
        self._is_stopping = True
        self._is_woken = False
        self.wake()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end; no order is taken after that."""
        self._thread.join(timeout_s)
        # Not before: a thread that ended by itself must not make the byte that wakes it break the pipe.
        self._is_joined = True
        self._ear.close()
        self._mouth.close()

    def wake(self) -> None:
        """Let the thread see to what was ordered."""
        # One byte wakes for any number of orders; a lost race writes a second one, which is harmless.
        if not self._is_woken and not self._is_joined:
            self._is_woken = True
            self._mouth.send(b"x")

    def _make_multi(self, max_connections: int) -> pycurl.CurlMulti:
        for end in (self._ear, self._mouth):
            end.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ)
        multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        multi.setopt(pycurl.M_MAXCONNECTS, max_connections)
        multi.setopt(pycurl.M_PIPELINING, 0)
        return multi

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._step()
        finally:
            self._is_stopping = True
            self._end()

    def _step(self) -> None:
        for key, mask in self._selector.select(self._wait_s()):
            if key.fileobj is self._ear:
                self._ear.recv(4096)
                self._is_woken = False
            else:
                self._multi.socket_action(key.fd, mask)
        self._take_orders()
        if self._due_s is not None and time.monotonic() >= self._due_s:
            self._due_s = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        finished = self._collect()
        if finished:
            self._report(finished)

    def _wait_s(self) -> float:
        if self._orders:
            return 0.0
        if self._due_s is None:
            return _LONGEST_WAIT_S
        return min(_LONGEST_WAIT_S, max(0.0, self._due_s - time.monotonic()))

    def _take_orders(self) -> None:
        while self._orders:
            number, request = self._orders.popleft()
            if request is None:
                self._give_up(number)
            else:
                self._begin(number, request)

    def _begin(self, number: int, request: Request) -> None:
        transfer = self._idle.pop() if self._idle else self._make_transfer()
        try:
            transfer.prepare(request)
            self._multi.add_handle(transfer.curl)
        except (pycurl.error, TypeError, ValueError) as error:
            self._report([(number, EgressFailure("invalid", str(error)))])
            return
        self._running[number] = transfer
        self._numbers[transfer.curl] = number

    def _give_up(self, number: int) -> None:
        transfer = self._running.get(number)
        if transfer is not None:
            self._release(number, transfer)

    def _release(self, number: int, transfer: Transfer) -> None:
        self._multi.remove_handle(transfer.curl)
        transfer.close_copies()
        del self._running[number], self._numbers[transfer.curl]
        if transfer.is_personal:
            transfer.curl.close()
        else:
            self._idle.append(transfer)

    def _collect(self) -> Finished:
        finished: Finished = []
        remaining = 1
        while remaining:
            remaining, succeeded, failed = self._multi.info_read()
            ended = [(curl, 0, "") for curl in succeeded] + [(curl, code, text) for curl, code, text in failed]
            finished += [self._finish(*each) for each in ended]
        return finished

    def _finish(self, curl: pycurl.Curl, code: int, text: str) -> tuple[int, Answer]:
        number = self._numbers[curl]
        transfer = self._running[number]
        answer = transfer.finish(code, text)
        self._release(number, transfer)
        return number, answer

    def _watch(self, event: int, descriptor: int, multi: Any, mark: Any) -> None:
        """Keep the selector as libcurl wants it."""
        watched = self._selector.get_map()
        if event == pycurl.POLL_REMOVE:
            if descriptor in watched:
                self._selector.unregister(descriptor)
        elif descriptor in watched:
            self._selector.modify(descriptor, _POLL_BITS[event])
        else:
            self._selector.register(descriptor, _POLL_BITS[event])

    def _set_timer(self, wait_ms: int) -> None:
        self._due_s = None if wait_ms < 0 else time.monotonic() + wait_ms / 1000

    def _end(self) -> None:
        numbers = [*self._running, *(number for number, request in self._orders if request is not None)]
        self._orders.clear()
        for number, transfer in list(self._running.items()):
            self._release(number, transfer)
        for transfer in self._idle:
            transfer.curl.close()
        self._multi.close()
        self._selector.close()
        self._report([(number, _CLOSED) for number in numbers])
