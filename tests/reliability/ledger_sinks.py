"""The receiving side of a ledger run: a webhook receiver and one stock-protocol socket for each tenant."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from rowcast.webhooks.ids import event_id_of
from tests.reliability.ledger_check import Arrived
from tests.reliability.ledger_pack import content

TOPICS = ("realtime:tenant", "realtime:items")


class Arrivals:
    """What arrived, in order, from any thread."""

    def __init__(self) -> None:
        self._items: list[Arrived] = []
        self._lock = threading.Lock()

    def add(self, sink: str, tenant: str, event_id: str, payload: dict[str, Any]) -> None:
        written = content(payload)
        item = Arrived(
            sink, tenant, written["tenant"], written["key"], written["number"], written["mark"], event_id, time.monotonic()
        )  # fmt: skip
        with self._lock:
            self._items.append(item)

    def items(self) -> list[Arrived]:
        with self._lock:
            return list(self._items)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A sender that was killed leaves a broken connection; that is what we are here for."""


class WebhookReceiver:
    """Answers 204 to every post, after a while; the path names the tenant whose endpoint it is."""

    def __init__(self, arrivals: Arrivals, wait_s: float = 0.0) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                event_id = str(event_id_of(self.headers["webhook-id"]))
                arrivals.add("webhooks", self.path.strip("/"), event_id, body["data"])
                time.sleep(wait_s)
                self.send_response(204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True)

    def __enter__(self) -> "WebhookReceiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class SocketListener:
    """Stays joined to one tenant's topic, through reconnects, until told to stop."""

    def __init__(self, url: str, token: str, tenant: str, arrivals: Arrivals) -> None:
        self._url, self._token, self._tenant, self._arrivals = url, token, tenant, arrivals
        self._stopped = threading.Event()
        self._replies = 0
        self.joined = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"socket-{tenant}", daemon=True)

    def __enter__(self) -> "SocketListener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except (OSError, WebSocketException):
                time.sleep(0.2)

    def _listen(self) -> None:
        with connect(
            f"{self._url}/websocket?apikey={self._token}&vsn=1.0.0", open_timeout=10, close_timeout=1
        ) as socket:
            for topic in TOPICS:
                socket.send(json.dumps(self._join(f"{topic}:{self._tenant}")))
            next_heartbeat = time.monotonic() + 10
            while not self._stopped.is_set():
                if time.monotonic() > next_heartbeat:
                    socket.send('{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"h"}')
                    next_heartbeat += 10
                try:
                    self._take(json.loads(socket.recv(timeout=0.5)))
                except TimeoutError:
                    continue

    def _join(self, topic: str) -> dict[str, Any]:
        payload = {"config": {"private": True, "broadcast": {"self": False}}, "access_token": self._token}
        return {"topic": topic, "event": "phx_join", "ref": "1", "join_ref": topic, "payload": payload}

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["event"] == "phx_reply" and frame["payload"]["status"] == "ok":
            self._replies += 1
            if self._replies == len(TOPICS):
                self.joined.set()
        if frame["event"] == "broadcast":
            message = frame["payload"]
            # An emitted event comes in its envelope, a watched row as the stock trigger tells it.
            payload = message["payload"].get("payload", message["payload"])
            self._arrivals.add("realtime", self._tenant, message["meta"]["id"], payload)
