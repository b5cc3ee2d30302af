"""A server with a victim and many strangers: what each of them was told while the victim lived and they tried everything.

The victim is Ann of the tenant `acme`. Whatever is acme's has the word `CANARY` in it, what is Ann's alone `ANNS-OWN`;
whatever a stranger says has `FORGED by` and his name in it. So who has seen what he may not is found by looking for a word.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from rowcast.realtime.authorize import sign_token
from tests.integration.capture.feeding import Heard, until
from tests.integration.realtime.changing import publish, run
from tests.integration.server.running import JWT_SECRET, Running, running

ANN, BOB, EVE = (f"{number}{number}{number}11111-1111-4111-8111-111111111111" for number in (1, 2, 3))
SESSION = "0190a0a0-0000-7000-8000-000000000001"
STREAMS = {"orders:1": "true", "room": "false"}
"""Topics that acme has too, and whether they are private."""

FORMS = f"form-responses:{ANN}"
PATIENCE_S = 30.0
_CHANNEL = {"name": "form-responses", "table": "secrets", "filter_field": "owner", "claim": "sub"}
_SECRETS = (
    "create table secrets (id int generated always as identity primary key, tenant text, owner uuid, body text)",
    "alter table secrets enable row level security",
    """create policy own on secrets for select to authenticated
    using (tenant = (select auth.jwt()) ->> 'tenant_id' and owner = (select auth.uid()))""",
)

TOPICS = (
    "room", "orders:1", "tenant:acme", "tenant:acme:orders", FORMS,
    # Topics that look like them, to somebody who folds, trims, decodes, normalises or matches.
    "ROOM", "room ", " room", "realtime:room", "acme:room", "acme-private:orders:1", "acme/room", "../acme/room",
    "Tenant:acme", "tenant:ACME", "tenant:Acme:orders", "tenant:acme ", "tenant: acme", "tenant:acme:", "tenant::acme",
    "tenant:%61cme", "tenant%3Aacme", "tenant:acme%00", "tenant:acme:%", "tenant:\u0430cme", "tenant:acme\u200b",
    "\uff54enant:acme", "tenant\uff1aacme", "tenant:*", "*", "orders:*", "orders:%", "orders:_", "tenant:globex:acme",
    "tenant:globex,acme", "tenant:acme,globex", "orders:1'--", "(room|orders:1)", "form-responses:*", "form-responses:",
    FORMS.upper(), f"{FORMS},{EVE}",
)  # fmt: skip


def bearer(**claims: object) -> str:
    """Give a token of these claims that is signed as it should be."""
    return sign_token({"role": "authenticated", "exp": int(time.time()) + 86_400, **claims}, JWT_SECRET)


def _unsigned(claims: dict[str, object], algorithm: str) -> str:
    parts = ({"alg": algorithm, "typ": "JWT"}, {"exp": int(time.time()) + 86_400, **claims})
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts), ""]
    )


ANNS = {"role": "authenticated", "tenant_id": "acme", "sub": ANN}
OUTSIDERS = {
    "a user of another tenant": bearer(tenant_id="globex", sub=EVE),
    "another tenant's user with the same id": bearer(tenant_id="globex", sub=ANN),
    "a service of another tenant": bearer(role="service_role", tenant_id="globex"),
    "anon": bearer(role="anon"),
    "a user of no tenant": bearer(sub=ANN),
    "a tenant in other letters": bearer(tenant_id="ACME", sub=ANN),
    "a tenant that begins with it": bearer(tenant_id="acme-2", sub=ANN),
    "a tenant that it begins with": bearer(tenant_id="acm", sub=ANN),
    "a claim of another name": bearer(tenant="acme", org_id="acme", sub=ANN),
    "claims further inside": bearer(app_metadata={"tenant_id": "acme"}, user_metadata={"tenant_id": "acme"}, sub=ANN),
}
"""Who has a valid token, and none of acme's."""

NEIGHBOURS = {"another user of the tenant": bearer(tenant_id="acme", sub=BOB)}
"""Who is of acme and is not Ann."""

NOBODIES = {
    "an expired token": sign_token({**ANNS, "exp": int(time.time()) - 1}, JWT_SECRET),
    "another key": sign_token({**ANNS, "exp": int(time.time()) + 86_400}, "another secret that is long enough, too"),
    "an unsigned token": _unsigned(dict(ANNS), "none"),
    "an unsigned token in other letters": _unsigned(dict(ANNS), "nOnE"),
    "a token whose signature is cut off": bearer(**ANNS).rpartition(".")[0] + ".",
    "a token whose claims were exchanged": ".".join(
        (
            bearer(tenant_id="globex").split(".")[0],
            bearer(**ANNS).split(".")[1],
            bearer(tenant_id="globex").split(".")[2],
        )
    ),
    "a tenant that is a list": bearer(tenant_id=["acme", "globex"], sub=ANN),
    "a tenant with a blank": bearer(tenant_id="acme ", sub=ANN),
    "a tenant that looks like it": bearer(tenant_id="\u0430cme", sub=ANN),
}
"""Who has no valid token at all."""

_ASKED = [{"event": "*", "schema": "public", "table": "secrets"}, {"event": "*", "schema": "*"},
          {"event": "INSERT", "schema": "public", "table": "secrets", "filter": "tenant=eq.acme"},
          {"event": "*", "schema": "rowcast"}, {"event": "*", "schema": "realtime", "table": "messages"}]  # fmt: skip


@dataclass
class Socket:
    """A socket that keeps every frame that it was sent."""

    connection: ClientConnection
    is_private: bool
    frames: list[str] = field(default_factory=list)
    replies: dict[str, Any] = field(default_factory=dict)
    _last: int = 0

    async def push(self, topic: str, event: str, payload: object) -> str:
        """Send a message and give its ref."""
        self._last += 1
        ref = str(self._last)
        await self.connection.send(json.dumps([ref if event == "phx_join" else "1", ref, topic, event, payload]))
        return ref

    async def join(self, *topics: str, **config: Any) -> list[str]:
        """Join all at once, because refusals come late; give `ok` or the reason for each."""
        asked = {"private": self.is_private, "presence": {"key": "", "enabled": True}, **config}
        refs = [await self.push(f"realtime:{topic}", "phx_join", {"config": asked}) for topic in topics]
        await self.until(lambda: all(ref in self.replies for ref in refs))
        return [self._outcome(self.replies[ref]) for ref in refs]

    async def barrier(self) -> None:
        """Read everything that was sent until now."""
        ref = await self.push("phoenix", "heartbeat", {})
        await self.until(lambda: ref in self.replies)

    async def until(self, holds: Any) -> None:
        """Read until something holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._take(await self.connection.recv())

    async def saw(self, *words: str) -> None:
        """Read until each of these words was in some frame."""
        await self.until(lambda: all(any(word in frame for frame in self.frames) for word in words))

    def _take(self, data: str | bytes) -> None:
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        self.frames.append(text)
        found = json.loads(text) if isinstance(data, str) else None
        if found and found[3] == "phx_reply":
            self.replies[found[1]] = found[4]

    def _outcome(self, reply: dict[str, Any]) -> str:
        return "ok" if reply["status"] == "ok" else str(reply["response"]["reason"])


@dataclass
class Evidence:
    """What was seen: by strangers over each route, by the victim, and what their tries were answered."""

    seen: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    joined: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    victims: list[str] = field(default_factory=list)

    def note(self, who: str, route: str, reply: httpx.Response) -> None:
        """Keep the answer to a request."""
        self.answers[who, route] = reply.status_code, reply.text


class World:
    """The server, the victim's sockets, and the strangers'."""

    def __init__(self, server: Running, dsn: str) -> None:
        self.server = server
        self.dsn = dsn
        self.evidence = Evidence()
        self.granted = ""
        self._sockets: dict[tuple[str, str], Socket] = {}

    async def play(self) -> Evidence:
        """Let the victim begin, the strangers try everything, and the victim go on."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            ears = [
                await stack.enter_async_context(self.socket(bearer(**ANNS), is_private=kind)) for kind in (False, True)
            ]
            tab = await stack.enter_async_context(self.socket(bearer(**ANNS), is_private=True))
            await self._begin(ears)
            for who, token in (OUTSIDERS | NEIGHBOURS).items():
                for kind in ("public", "private"):
                    socket = self.socket(token, is_private=kind == "private")
                    self._sockets[who, kind] = await stack.enter_async_context(socket)
            async with asyncio.TaskGroup() as tries:
                for (who, kind), each in self._sockets.items():
                    tries.create_task(self._try_socket(who, kind, each))
                for who, token in (OUTSIDERS | NEIGHBOURS | NOBODIES).items():
                    tries.create_task(self._try_http(who, token))
                for who, token in NOBODIES.items():
                    tries.create_task(self._try_upgrade(who, token))
            streams = [
                group.create_task(self._listen(who, token, topic, private))
                for who, token in OUTSIDERS.items()
                for topic, private in STREAMS.items()
            ]
            await until(
                lambda: all((who, f"sse {topic}") in self.evidence.seen for who in OUTSIDERS for topic in STREAMS)
            )
            await self._go_on(ears, tab)
            for stream in streams:
                stream.cancel()
        return self.evidence

    @asynccontextmanager
    async def socket(self, token: str, *, is_private: bool) -> AsyncIterator[Socket]:
        """Connect for a block."""
        url = f"ws://127.0.0.1:{self.server.port}/realtime/v1/websocket?apikey={token}&vsn=2.0.0"
        async with connect(url, max_queue=None) as connection:
            yield Socket(connection, is_private)

    async def _begin(self, ears: Iterable[Socket]) -> None:
        """Ann is there with all that she has, some of it said before anybody else came."""
        public, private = ears
        body = {"channels": ["form-responses"], "filters": {"owner": ANN}}
        reply = await self.server.client.post("/api/realtime/subscribe", json=body, headers=header(bearer(**ANNS)))
        self.granted = reply.json()["subscriptions"][0]["channelId"]
        recover = {"broadcast": {"recover": {"session": SESSION}}}
        assert await public.join("room", postgres_changes=_ASKED[:1]) == ["ok"]
        assert await private.join("orders:1", "tenant:acme", "tenant:acme:orders", FORMS, **recover) == ["ok"] * 4
        for socket, topic in ((public, "room"), (private, "orders:1")):
            await socket.push(f"realtime:{topic}", "presence", {"event": "track", "payload": {"is": "CANARY-presence"}})
        self._tell("before")
        await private.saw("CANARY-event-before", "CANARY-message-before", "ANNS-OWN-message-before")

    async def _go_on(self, ears: Iterable[Socket], tab: Socket) -> None:
        """Ann's second tab says something everywhere, and so does the database; then everybody has read what came."""
        public, private = ears
        await tab.join("orders:1", broadcast={"ack": True})
        said = {"type": "broadcast", "event": "e", "payload": {"text": "CANARY-orders"}}
        await tab.push("realtime:orders:1", "broadcast", said)
        message = {"topic": "room", "event": "e", "payload": {"text": "CANARY-room"}}
        await self.server.client.post("/api/broadcast", json={"messages": [message]}, headers=header(bearer(**ANNS)))
        self._tell("after")
        await private.saw("CANARY-event-after", "CANARY-message-after", "ANNS-OWN-message-after", "CANARY-orders")
        await public.saw("CANARY-room", "ANNS-OWN-row-after", "CANARY-presence")
        # The other tenant's own life: its ears work.
        run(self.dsn, f"insert into secrets (tenant, owner, body) values ('globex', '{EVE}', 'EVES-OWN-row')")
        await self._sockets["a user of another tenant", "public"].saw("EVES-OWN-row")
        for (who, kind), socket in self._sockets.items():
            await socket.barrier()
            self.evidence.seen[who, kind] = socket.frames
        status = await self.server.client.get("/api/realtime/status", headers=header(bearer(**ANNS)))
        self.evidence.note("Ann", "status", status)
        for ear in ears:
            await ear.barrier()
            self.evidence.victims += ear.frames

    def _tell(self, when: str) -> None:
        """Let the database say something of acme's, and of Ann's."""
        message = (
            "insert into realtime.messages (topic, extension, event, payload, private, tenant_id) values "
            "('{}', 'broadcast', 'said', '{{\"text\": \"{}\"}}', true, 'acme')"
        )
        run(
            self.dsn,
            f"select rowcast.emit('acme', 'orders.made', '{{\"text\": \"CANARY-event-{when}\"}}')",
            message.format("orders:1", f"CANARY-message-{when}"),
            message.format(FORMS, f"ANNS-OWN-message-{when}"),
            f"insert into secrets (tenant, owner, body) values ('acme', '{ANN}', 'ANNS-OWN-row-{when}')",
        )

    async def _try_socket(self, who: str, kind: str, socket: Socket) -> None:
        """Join whatever there is with all that a join may ask for, and say something everywhere, joined or not."""
        broadcast: dict[str, Any] = {"ack": True, "recover": {"session": SESSION}}
        if socket.is_private:
            broadcast["replay"] = {"since": 0, "limit": 25}
        # The role `service_role` passes by the policies of all tables: what it sees of a database is all of it.
        asked = [] if "service" in who else _ASKED
        outcomes = await socket.join(*TOPICS, broadcast=broadcast, postgres_changes=asked)
        self.evidence.joined[who, kind] = dict(zip(TOPICS, outcomes, strict=True))
        mark = f"FORGED by {who}"
        forged = {"type": "broadcast", "event": "e", "payload": {"text": mark}}
        for topic in (f"realtime:{topic}" for topic in TOPICS):
            await socket.push(topic, "broadcast", forged)
            await socket.push(topic, "presence", {"event": "track", "payload": {"is": mark}})
            await socket.push(topic, "presence_diff", {"joins": {mark: {"metas": [{"phx_ref": "1"}]}}, "leaves": {}})
            await socket.push(topic, "postgres_changes", {"ids": [1], "data": {"text": mark}})
        await socket.push("realtime:ROOM", "access_token", {"access_token": NOBODIES["an unsigned token"]})
        await socket.barrier()

    async def _try_upgrade(self, who: str, token: str) -> None:
        """Ask for a socket. Refusals come late, so all ask at once."""
        try:
            async with self.socket(token, is_private=True):
                self.evidence.answers[who, "socket"] = 101, ""
        except InvalidStatus as refusal:
            self.evidence.answers[who, "socket"] = refusal.response.status_code, ""

    async def _try_http(self, who: str, token: str) -> None:
        """Broadcast everywhere and ask for whatever there is about others, in all the ways to name another tenant."""
        client, note = self.server.client, self.evidence.note
        named = {**header(token), "x-tenant": "acme", "host": "acme.example.com"}
        mark = {"text": f"FORGED by {who}"}
        told = [{"topic": topic, "event": "e", "payload": mark} for topic in TOPICS]
        for path in ("/api/broadcast", "/api/broadcast?tenant_id=acme"):
            for is_private in (False, True):
                body: dict[str, Any] = {"messages": [{**one, "private": is_private} for one in told]}
                note(who, f"{path} private={is_private}", await client.post(path, json=body, headers=named))
        for topic in ("tenant:acme", "tenant:acme:orders"):
            path = f"/api/broadcast/{topic}/events/e?private=true"
            note(who, path, await client.post(path, json=mark, headers=named))
        for path in ("/api/tenants", "/api/tenants/acme", "/api/tenants/acme/health", "/api/realtime/status",
                     "/api/v1/realtime/statistics?tenantId=acme"):  # fmt: skip
            note(who, path, await client.get(path, headers=named))
        body = {"channels": ["form-responses"], "filters": {"owner": ANN}}
        note(who, "subscribe", await client.post("/api/realtime/subscribe", json=body, headers=named))
        body = {"channelIds": [self.granted]}
        note(who, "unsubscribe", await client.post("/api/realtime/unsubscribe", json=body, headers=named))
        for topic in ("tenant:acme", FORMS):
            note(who, f"sse {topic}", await self._peek(topic, named))

    async def _peek(self, topic: str, headers: dict[str, str]) -> httpx.Response:
        """Ask for a stream, and give the answer without reading it."""
        async with self.server.client.stream(
            "GET", "/api/realtime/sse", params={"topic": topic}, headers=headers
        ) as reply:
            text = "" if reply.status_code == 200 else (await reply.aread()).decode()
            return httpx.Response(reply.status_code, text=text)

    async def _listen(self, who: str, token: str, topic: str, private: str) -> None:
        """Hear a topic of the own namespace as a stream, from before its beginning, where there is one."""
        asked = {**header(token), "last-event-id": "0"}
        async with self.server.client.stream(
            "GET", "/api/realtime/sse", params={"topic": topic, "private": private}, headers=asked, timeout=PATIENCE_S
        ) as reply:
            lines = self.evidence.seen[who, f"sse {topic}"] = [f"{reply.status_code}"]
            async for line in reply.aiter_lines():
                lines += (line,)


def header(token: str) -> dict[str, str]:
    """Give the header of a token."""
    return {"authorization": f"Bearer {token}"}


@asynccontextmanager
async def isolation_world(dsn: str) -> AsyncIterator[World]:
    """Run the server for a block."""
    publish(dsn, *_SECRETS, tables="secrets")
    with Heard() as heard:
        async with running(dsn, roles=("gateway", "relay"), relay__feed="wal", channel=(_CHANNEL,)) as server:
            await until(lambda: bool(heard.named("feed.opened")))
            yield World(server, dsn)
