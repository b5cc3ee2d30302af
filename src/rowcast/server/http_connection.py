"""One HTTP connection: uvicorn's protocol with the bounds that it has not, so that a stranger costs little."""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rowcast.core.telemetry import tell

HEAD_LIMIT_BYTES = 64 * 1024
PIPELINE_LIMIT = 16
"""Requests that wait behind the one that is answered."""
BODY_LIMIT_BYTES = 16 * 1024 * 1024
"""More than any route takes: each refuses at its own limit, and what still comes after that answer is cut here."""
REQUEST_S = 30.0
"""From the first byte of a request to its last; and how long an answer may lie unread."""


class HttpConnection(HttpToolsProtocol):
    """Serves requests. What does not end or does not come, and an answer that is not read, end it."""

    request_s = REQUEST_S

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what uvicorn gives each of its protocols."""
        super().__init__(*args, **options)
        # Between two requests the next head counts as begun; a turn is where a request begins or ends.
        self._head_bytes = self._body_bytes = 0
        self._is_in_head = True
        self._turns = 0
        self._request_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what comes after an end is thrown away."""
        if self.transport.is_closing():
            return
        turns = self._turns
        super().data_received(data)
        if self.transport.is_closing() or not self._is_in_head or turns != self._turns:
            return
        self._head_bytes += len(data)
        # Bytes that begin no request would otherwise hold an idle connection for ever.
        self._await_request()
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._refuse_head()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over."""
        self._forget()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """Give the request its time."""
        super().on_message_begin()
        self._turns += 1
        self._await_request()

    def on_headers_complete(self) -> None:
        """Take the request, unless too many wait before it."""
        self._is_in_head = False
        if len(self.pipeline) >= PIPELINE_LIMIT:
            raise OverflowError  # the parser stops, and uvicorn answers 400
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece, unless the whole has become longer than anything that is read here."""
        self._body_bytes += len(body)
        if self._body_bytes <= BODY_LIMIT_BYTES:
            super().on_body(body)
        elif not self.transport.is_closing():
            self._cut("body_too_big")

    def on_message_complete(self) -> None:
        """Have the whole request."""
        super().on_message_complete()
        self._head_bytes, self._body_bytes, self._is_in_head = 0, 0, True
        self._turns += 1
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def pause_writing(self) -> None:
        """Give the client time to read its answer."""
        super().pause_writing()
        if self._answer_timer is None:
            self._answer_timer = self.loop.call_later(self.request_s, self._cut, "unread_answer")

    def resume_writing(self) -> None:
        """It reads."""
        super().resume_writing()
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _await_request(self) -> None:
        if self._request_timer is None:
            self._request_timer = self.loop.call_later(self.request_s, self._cut, "slow_request")

    def _forget(self) -> None:
        for timer in (self._request_timer, self._answer_timer):
            if timer is not None:
                timer.cancel()

    def _cut(self, reason: str) -> None:
        tell("http.cut", reason=reason)
        self.transport.abort()

    def _refuse_head(self) -> None:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        tell("http.cut", reason="head_too_big")
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self.transport.write(head.encode())
        self.transport.close()
