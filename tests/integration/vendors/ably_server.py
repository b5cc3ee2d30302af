"""A server that keeps the rules of Ably's REST publish: keys, names, ids, limits and errors. It remembers what it took."""

import asyncio
import base64
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import msgpack

from tests.integration.egress.receivers import read_request, receiving

KEY = "app.key:secret"
READ_ONLY_KEY = "app.reader:secret"
TOKEN, EXPIRED_TOKEN = "app.token", "app.expired"
MESSAGE_LIMIT_BYTES = 65_536
REQUEST_LIMIT_BYTES = 2 * 1024 * 1024
MESSAGES_PER_SECOND = 50


class Refusal(Exception):
    """An error of Ably's: HTTP status, code and headers."""

    def __init__(self, status: int, code: int, **headers: str) -> None:
        self.status, self.code = status, code
        self.headers = {
            "x-ably-errorcode": str(code),
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }


@dataclass
class AblyServer:
    """What was asked and taken. `refusals` are given first, one for each request."""

    port: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    requests: int = 0
    messages: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    _ids: set[tuple[str, str]] = field(default_factory=set)
    _taken_at: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def forget_rates(self) -> None:
        """Let a second pass for every channel."""
        self._taken_at.clear()

    def publish(self, head: bytes, body: bytes) -> dict[str, Any]:
        """Take one request as Ably does."""
        line, *rest = head.decode().split("\r\n")
        headers = {name.lower(): text.strip() for name, _, text in (one.partition(":") for one in rest if one)}
        self.requests += 1
        if self.refusals:
            raise self.refusals.pop(0)
        authenticate(headers.get("authorization", ""))
        channel = channel_of(line)
        if len(body) > REQUEST_LIMIT_BYTES:
            raise Refusal(413, 40009)
        messages = decoded(headers.get("content-type", ""), body)
        check_ids(messages)
        for message in messages:
            check_message(message)
        self._check_rate(channel, len(messages))
        return {"channel": channel, "messageId": self._take(channel, messages)}

    def _check_rate(self, channel: str, count: int) -> None:
        now = asyncio.get_running_loop().time()
        recent = [at for at in self._taken_at[channel] if now - at < 1.0]
        if len(recent) + count > MESSAGES_PER_SECOND:
            raise Refusal(429, 42911, retry_after="1")
        self._taken_at[channel] = recent + [now] * count

    def _take(self, channel: str, messages: list[dict[str, Any]]) -> str:
        for message in messages:
            known = (channel, message.get("id", ""))
            if message.get("id") and known in self._ids:
                continue
            self._ids.add(known)
            self.messages[channel].append(message)
        return str(messages[0].get("id", "made:0")).partition(":")[0]


def authenticate(text: str) -> None:
    kind, _, encoded = text.partition(" ")
    try:
        secret = base64.b64decode(encoded, validate=True).decode()
    except ValueError:
        raise Refusal(401, 40101) from None
    if kind == "Bearer" and secret == EXPIRED_TOKEN:
        raise Refusal(401, 40142)
    if kind == "Basic" and secret == READ_ONLY_KEY:
        raise Refusal(401, 40160)
    if (kind, secret) not in {("Basic", KEY), ("Bearer", TOKEN)}:
        raise Refusal(401, 40101)


def channel_of(line: str) -> str:
    method, path, _ = line.split(" ")
    _, channels, name, messages = (*path.partition("?")[0].split("/"), "", "", "")[:4]
    if (method, channels, messages) != ("POST", "channels", "messages"):
        raise Refusal(404, 40400)
    name = unquote_plus(name)
    if not name or name.startswith((":", "[")) or any(character in name for character in "\r\n*"):
        raise Refusal(400, 40010)
    return name


def decoded(kind: str, body: bytes) -> list[dict[str, Any]]:
    try:
        found = msgpack.unpackb(body) if "msgpack" in kind else json.loads(body)
    except ValueError:
        raise Refusal(400, 40000) from None
    messages = found if isinstance(found, list) else [found]
    if not messages or not all(isinstance(message, dict) for message in messages):
        raise Refusal(400, 40000)
    return messages


def check_ids(messages: list[dict[str, Any]]) -> None:
    """Several messages have the ids `<base>:<place>` of one base, or none at all."""
    ids = [message.get("id") for message in messages]
    if not any(ids):
        return
    bases = {str(text).partition(":")[0] for text in ids}
    in_place = [str(text).partition(":")[2] == str(place) for place, text in enumerate(ids)]
    if len(bases) != 1 or not (all(in_place) or (len(ids) == 1 and ":" not in str(ids[0]))):
        raise Refusal(400, 40031)


def check_message(message: dict[str, Any]) -> None:
    data = message.get("data", "")
    if not isinstance(data, str | bytes):
        raise Refusal(400, 40013)
    if message.get("encoding", "") not in ("", "json", "base64", "utf-8"):
        raise Refusal(400, 40013)
    if len(data) + len(message.get("name") or "") > MESSAGE_LIMIT_BYTES:
        raise Refusal(400, 40009)


@asynccontextmanager
async def ably_server() -> AsyncIterator[AblyServer]:
    """Serve for the time of a block."""
    server = AblyServer()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            try:
                status, headers, found = 201, {}, server.publish(head, body)
            except Refusal as refusal:
                status, headers = refusal.status, refusal.headers
                found = {
                    "error": {
                        "message": "refused",
                        "code": refusal.code,
                        "statusCode": refusal.status,
                        "href": "",
                        "serverId": "x",
                    }
                }
            text = json.dumps(found).encode()
            lines = [f"HTTP/1.1 {status} Answer", "content-type: application/json", f"content-length: {len(text)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + text)

    async with receiving(respond) as server.port:
        yield server
