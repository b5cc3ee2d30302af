"""Autobahn|Testsuite against our sockets: the core cases of RFC 6455. Left out are those of load and of compression."""

from datetime import datetime
from pathlib import Path

import pytest

from rowcast.realtime import frames, gateway
from rowcast.realtime.websocket import SocketProtocol
from tests.protocol.autobahn import require_autobahn, run_autobahn
from tests.protocol.socket_server import serving, token

# The suite itself calls these verdicts harmless: the RFC leaves the behaviour open.
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}
# A close frame in the middle of a fragmented message: the suite expects that the rest is waited for. See its own notes.
MAY_FAIL = {"7.1.5"}


class Echo(SocketProtocol):
    """Our socket, which says what it was told: the suite needs a server of that kind. All the rest is what it always is."""

    __slots__ = ()

    def _take_message(self, message: frames.Message | frames.Violation, now: datetime) -> None:
        is_said = isinstance(message, frames.Message) and message.opcode in (frames.TEXT, frames.BINARY)
        if is_said and self._closing_since_s is None:
            self.write_shared(frames.encode_message(message[0], message[1]))  # type: ignore[arg-type]
        else:
            super()._take_message(message, now)


@pytest.mark.timeout(500)
async def test_every_core_case_of_the_suite_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = require_autobahn()
    monkeypatch.setattr(gateway, "SocketProtocol", Echo)
    async with serving() as server:
        verdicts = await run_autobahn(
            python,
            f"{server.url()}/websocket?apikey={token()}&vsn=2.0.0",
            cases=["*"],
            excluded=["9.*", "12.*", "13.*"],
            folder=tmp_path,
            timeout_s=180,
        )

    failed = {
        case: (verdict["behavior"], verdict["behaviorClose"])
        for case, verdict in verdicts.items()
        if not {verdict["behavior"], verdict["behaviorClose"]} <= PASSED and case not in MAY_FAIL
    }
    assert failed == {}
    assert len(verdicts) >= 240
