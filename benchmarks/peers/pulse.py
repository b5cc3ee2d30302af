"""One connection that only beats: `pulse.py KIND PORT SUBSCRIBERS BYTES [TOKEN]`, in a process that does nothing else.

Prints `ready`, then for each line `SECONDS` the p99 of its heartbeats in milliseconds.
"""

import select
import socket
import sys
import time

from speeches import SPEECHES, Speech

_EVERY_S = 0.01
_PATIENCE_S = 30.0
_SIGN_OF_LIFE_S = 20.0


def ask(connection: socket.socket, question: bytes, answer: bytes) -> float:
    """Send something and give the milliseconds until the answer is there."""
    begun_at = time.perf_counter()
    connection.sendall(question)
    heard = b""
    while answer not in heard:
        more = connection.recv(65536)
        if not more:
            raise SystemExit("the server has closed the connection")
        heard += more
    return (time.perf_counter() - begun_at) * 1e3


def beats_ms(connection: socket.socket, speech: Speech, seconds: float) -> list[float]:
    """Beat a hundred times a second for a while."""
    found, end_at = [], time.perf_counter() + seconds
    while not found or time.perf_counter() < end_at:
        found.append(ask(connection, speech.beat, speech.answer))
        time.sleep(_EVERY_S)
    return sorted(found)


def wait(connection: socket.socket, speech: Speech) -> str:
    """Give the next line; beat meanwhile, so that nobody takes the connection for a dead one."""
    while not select.select([sys.stdin], [], [], _SIGN_OF_LIFE_S)[0]:
        ask(connection, speech.beat, speech.answer)
    return sys.stdin.readline().strip()


def main(kind: str, port: str, _: str, size_bytes: str, token: str = "") -> None:
    """Connect and beat whenever a line asks for it."""
    speech = SPEECHES[kind](int(port), int(size_bytes), token)
    with socket.create_connection(("127.0.0.1", int(port)), timeout=_PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask(connection, *speech.steps[0])
        print("ready", flush=True)
        while line := wait(connection, speech):
            found = beats_ms(connection, speech, float(line))
            print(f"{found[int(len(found) * 0.99)]:.3f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
