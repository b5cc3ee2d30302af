"""A bare libcurl loop: `curl_posts.py URL AT_ONCE BYTES [CA_FILE]` posts one body again and again and keeps nothing.

Prints `ready`, then for each line `COUNT` the seconds and the processor seconds that so many posts took.
"""

import json
import selectors
import sys
import time

import pycurl

_HEADERS = [
    "Expect:",
    "content-type: application/json",
    *(f"{family}-id: msg_2yZ0000000000000000000000a" for family in ("webhook", "svix")),
    *(f"{family}-timestamp: 1700000000" for family in ("webhook", "svix")),
    *(f"{family}-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=" for family in ("webhook", "svix")),
]
_BITS = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}


class Loop:
    """As many handles as posts at once, each used again and again."""

    def __init__(self, url: str, at_once: int, body: bytes, ca_file: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._due_s: float | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, at_once * 2)
        self._handles = [self._handle(url, body, ca_file) for _ in range(at_once)]

    def _handle(self, url: str, body: bytes, ca_file: str) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.HTTPHEADER, _HEADERS)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDS, body)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.TCP_NODELAY, 1)
        handle.setopt(pycurl.WRITEFUNCTION, lambda chunk: None)
        if ca_file:
            handle.setopt(pycurl.CAINFO, ca_file)
        return handle

    def post(self, count: int) -> None:
        """Make so many posts; a failed one ends the loop."""
        waiting = count
        for handle in self._handles[:count]:
            self._multi.add_handle(handle)
            waiting -= 1
        done = 0
        while done < count:
            for handle in self._ended():
                done += 1
                if waiting > 0:
                    waiting -= 1
                    self._multi.add_handle(handle)

    def _ended(self) -> list[pycurl.Curl]:
        wait_s = 1.0 if self._due_s is None else max(0.0, self._due_s - time.monotonic())
        for key, mask in self._selector.select(min(1.0, wait_s)):
            self._multi.socket_action(key.fd, mask)
        if self._due_s is not None and time.monotonic() >= self._due_s:
            self._due_s = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        _, ended, failed = self._multi.info_read(1000)
        if failed:
            raise SystemExit(f"a post failed: {failed[0][1:]}")
        for handle in ended:
            self._multi.remove_handle(handle)
        return list(ended)

    def _watch(self, event: int, descriptor: int, multi: object, mark: object) -> None:
        watched = self._selector.get_map()
        if event == pycurl.POLL_REMOVE:
            if descriptor in watched:
                self._selector.unregister(descriptor)
        elif descriptor in watched:
            self._selector.modify(descriptor, _BITS[event])
        else:
            self._selector.register(descriptor, _BITS[event])

    def _set_timer(self, wait_ms: int) -> None:
        self._due_s = None if wait_ms < 0 else time.monotonic() + wait_ms / 1000


def main(url: str, at_once: str, size_bytes: str, ca_file: str = "") -> None:
    """Post whenever a line asks for it."""
    loop = Loop(url, int(at_once), json.dumps({"data": "x" * int(size_bytes)}).encode(), ca_file)
    print("ready", flush=True)
    for line in sys.stdin:
        begun_at, begun_cpu = time.perf_counter(), time.process_time()
        loop.post(int(line))
        print(f"{time.perf_counter() - begun_at:.6f} {time.process_time() - begun_cpu:.6f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
