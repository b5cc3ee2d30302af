"""What Ably is sent and what its answers mean: requests within its limits, and an outcome for every answer.

Source: Ably's REST API, its limits and its error codes; as of August 2026.
"""

import base64
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import msgspec

from rowcast.core.outcome import EXCERPT_LIMIT_CHARS, Delivered, Outcome, Rejected, Retry
from rowcast.realtime.messages import Broadcast

MESSAGE_LIMIT_BYTES = 65_536
"""Of one message on the smaller plans; the larger ones take four times as much."""
REQUEST_LIMIT_BYTES = 2 * 1024 * 1024 - 16 * 1024
MESSAGES_PER_REQUEST = 50
"""As many as one channel may take in a second."""

# A token that has run out is renewed by whoever made it; a wrong key and a missing right need a person.
_TOKEN_ERRORS = range(40140, 40150)
_LASTING_ERRORS = frozenset({40010, 40009, 40013, 40031})


class AblyMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message as Ably takes it; `id` makes a repetition harmless."""

    id: str
    name: str
    data: str
    encoding: str


class AblyRequest(msgspec.Struct, frozen=True):
    """One request: messages of one channel in order."""

    channel: str
    messages: tuple[AblyMessage, ...]

    @property
    def path(self) -> str:
        """Give the path to post to."""
        return f"/channels/{quote(self.channel, safe=':')}/messages"

    @property
    def body(self) -> bytes:
        """Give the JSON to post: an array also for one message, so that ids have one form."""
        return msgspec.json.encode(self.messages)


def channel_name(broadcast: Broadcast) -> str:
    """Give the channel of a broadcast: one that no other tenant has, whatever tenants and topics are called."""
    kind = "private" if broadcast.is_private else "public"
    return f"{quote(broadcast.tenant_id, safe='')}:{kind}:{broadcast.topic}"


def ably_requests(message_id: str, broadcasts: Sequence[Broadcast]) -> Iterator[AblyRequest]:
    """Give the requests that carry broadcasts: each channel's in order, no request over a limit."""
    by_channel: dict[str, list[Broadcast]] = {}
    for broadcast in broadcasts:
        by_channel.setdefault(channel_name(broadcast), []).append(broadcast)
    for channel, its in by_channel.items():
        for number, group in enumerate(_groups(its)):
            # The part's number is in the base: ids of one request are `<base>:<place>`, from 0 on.
            base = f"{message_id}.{number}"
            yield AblyRequest(
                channel, tuple(_message(f"{base}:{place}", broadcast) for place, broadcast in enumerate(group))
            )


def too_large(broadcasts: Sequence[Broadcast], limit_bytes: int) -> bool:
    """Tell whether a broadcast is more than Ably takes."""
    return any(_size_bytes(broadcast) > limit_bytes for broadcast in broadcasts)


def judge_reply(status: int, headers: dict[str, str], body: bytes) -> Outcome:
    """Give what an answer of Ably means."""
    if 200 <= status < 300:
        return Delivered(code=str(status))
    code = _error_code(headers, body)
    excerpt = body[:EXCERPT_LIMIT_CHARS].decode("utf-8", "replace")
    reason = f"ably_{code or status}"
    is_passing = status in (408, 425, 429) or status >= 500 or code in _TOKEN_ERRORS
    if is_passing and code not in _LASTING_ERRORS:
        return Retry(reason, after_s=_after_s(headers), code=str(status), excerpt=excerpt)
    return Rejected(reason, code=str(status), excerpt=excerpt)


def judge_failure(kind: str, text: str) -> Outcome:
    """Give what it means that there was no answer."""
    return Rejected(kind, excerpt=text) if kind in ("blocked", "invalid") else Retry(kind, excerpt=text)


def is_worth_another_host(outcome: Outcome) -> bool:
    """Tell whether another of Ably's hosts may take what this one did not."""
    return isinstance(outcome, Retry) and (not outcome.code or outcome.code.startswith("5"))


def worst_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """Give one outcome for several requests: all must be sent again when one may still succeed."""
    for kind in (Retry, Rejected):
        found = next((outcome for outcome in outcomes if isinstance(outcome, kind)), None)
        if found is not None:
            return found
    return outcomes[0] if outcomes else Delivered()


def _message(message_id: str, broadcast: Broadcast) -> AblyMessage:
    if broadcast.form == "binary":
        return AblyMessage(message_id, broadcast.event, base64.b64encode(broadcast.payload).decode(), "base64")
    return AblyMessage(message_id, broadcast.event, broadcast.payload.decode(), "json")


def _size_bytes(broadcast: Broadcast) -> int:
    return len(broadcast.payload) + len(broadcast.event.encode())


def _groups(broadcasts: Sequence[Broadcast]) -> Iterator[list[Broadcast]]:
    group: list[Broadcast] = []
    size_bytes = 0
    for broadcast in broadcasts:
        # JSON within JSON: what is escaped grows, at worst to six times its size; base64 to 4/3.
        more = len(msgspec.json.encode(_message("", broadcast))) + 200
        if group and (len(group) >= MESSAGES_PER_REQUEST or size_bytes + more > REQUEST_LIMIT_BYTES):
            yield group
            group, size_bytes = [], 0
        group.append(broadcast)
        size_bytes += more
    if group:
        yield group


class _Fault(msgspec.Struct):
    code: int = 0


class _FaultBody(msgspec.Struct):
    error: _Fault


def _error_code(headers: dict[str, str], body: bytes) -> int:
    named = headers.get("x-ably-errorcode", "")
    if named.isascii() and named.isdigit():
        return int(named)
    try:
        return msgspec.json.decode(body, type=_FaultBody).error.code
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0


def _after_s(headers: dict[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
