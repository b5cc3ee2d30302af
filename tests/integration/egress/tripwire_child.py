"""A whole server in a network of its own where every address of the world is this machine, and each one is a tripwire.

Run by `test_tripwire.py` in an empty network namespace: `python -m tests.integration.egress.tripwire_child DSN PROXY`. Prints
one JSON document: which addresses were connected to, what the API answered, what came of each delivery.
"""

import asyncio
import json
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from rowcast.webhooks.authentication import OAuth2, authentication_bytes
from rowcast.webhooks.sealing import seal_context
from tests.integration.server.running import Running, running

PORTS = (80, 443, 8080, 8443)
PUBLIC = "8.8.8.8"
PUBLIC_URL = "http://public.example.com/redirect"
METADATA = "169.254.169.254"
WITHIN_S = 30.0

# Names, and what stands behind them when they are looked up: the first time, and every time after.
NAMES: dict[str, list[list[str]]] = {
    "public.example.com": [[PUBLIC]],
    "metadata.example.com": [[METADATA]],
    "loopback.example.com": [["127.0.0.1"]],
    "mapped.example.com": [["::ffff:10.0.0.1"]],
    "six.example.com": [["fd00:ec2::254"]],
    "nat.example.com": [["64:ff9b::a9fe:a9fe"]],
    "tunnel.example.com": [["2002:a9fe:a9fe::1"]],
    "mixed.example.com": [[PUBLIC, "10.0.0.1"]],
    "azure.example.com": [["168.63.129.16"]],
    "shared.example.com": [["100.100.100.200"]],
}
LITERALS = (
    "169.254.169.254 10.0.0.1 100.100.100.200 168.63.129.16 192.168.0.1 172.16.0.1 127.0.0.1 0.0.0.0 [::1] [::] "
    "[fd00:ec2::254] [64:ff9b::a9fe:a9fe] [2002:a9fe:a9fe::1] [::ffff:10.0.0.1] [::ffff:7f00:1] [fe80::1] [fec0::1] "
    "[ff02::1] [::127.0.0.1] 224.0.0.1 192.0.0.192 2130706433 0x7f.1 0177.0.0.1 127.1 0 127.0.0.1. ①②⑦.⓪.⓪.① 127。0。0。1 "
    "localhost LOCALHOST a.localhost metadata.google.internal printer.local intranet user@10.0.0.1 "
    "10.0.0.1:8080 127.0.0.1:443 10.0.0.1:5432"
).split()
BAD_URLS = [f"http://{host}/latest/meta-data" for host in LITERALS] + [f"https://{host}/" for host in LITERALS[:6]]
BAD_NAMES = [f"http://{name}/" for name in NAMES if not name.startswith("public")]
BAD_TOKEN_URLS = [*BAD_URLS[:8], *BAD_NAMES]

hits: Counter[str] = Counter()
asked_proxy: list[str] = []
stages = ["before"]


def lookup(host: str, *_: Any, **__: Any) -> list[Any]:
    answers = NAMES.get(host)
    if answers is None:
        raise OSError("no such name")
    found = answers.pop(0) if len(answers) > 1 else answers[0]
    return [
        (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in found
    ]


async def tripwire(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Count who is connected to; whoever speaks HTTP is led to the metadata."""
    hits[f"{stages[-1]} {writer.get_extra_info('sockname')[0]}"] += 1
    try:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 302 Found\r\nLocation: http://{METADATA}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Refuse everything, and remember what was asked for."""
    asked_proxy.append((await reader.readline()).decode())
    writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


@asynccontextmanager
async def wired() -> AsyncIterator[None]:
    """Listen on every address of the world, at each port that may be posted to and at one that may not."""
    async with AsyncExitStack() as stack:
        for port in (*PORTS, 5432):
            for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                opened = socket.socket(family, socket.SOCK_STREAM)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                opened.bind((host, port))
                server = await asyncio.start_server(tripwire, sock=opened)
                stack.push_async_callback(server.wait_closed)
                stack.callback(server.close)
        yield


async def connected(address: str) -> bool:
    """Connect as a client without a guard does: the wire must trip."""
    try:
        _, writer = await asyncio.open_connection(address, 80)
    except OSError:
        return False
    writer.close()
    return True


class Attack:
    """One server under attack."""

    def __init__(self, api: Running, key: dict[str, str]) -> None:
        self.api, self.key = api, key
        self.answers: dict[str, list[int]] = {}

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        return await self.api.client.request(method, f"/api/v1/app/acme{path}", headers=self.key, json=body)

    async def saving(self) -> None:
        """Ask for each bad URL at every place where a URL can be said."""
        made = (await self.call("POST", "/endpoint", {"url": "https://hooks.example.com/"})).json()
        place = f"/endpoint/{made['id']}"
        for number, url in enumerate(BAD_URLS):
            token = {"type": "oauth2", "tokenUrl": url, "clientId": "a", "clientSecret": "b"}
            asked: list[tuple[str, str, str, Any]] = [
                ("create", "POST", "/endpoint", {"url": url}),
                ("authentication", "PUT", f"{place}/authentication", token),
                ("update", "PATCH", place, {"url": url}),
                ("put", "PUT", "/endpoint/new-one", {"url": url}),
                ("replace", "PUT", place, {"url": url}),
                ("with authentication", "PATCH", place, {"authentication": token}),
            ]
            # One check stands behind them all: after the first few URLs, two places stand for all.
            for what, method, path, body in asked[: 6 if number < 6 else 2]:
                reply = await self.call(method, path, body)
                self.answers.setdefault(what, []).append(reply.status_code)
        await self.call("DELETE", place)

    async def planted(self) -> list[str]:
        """Put each bad URL where no check looks, as one that was saved before the check, or that points elsewhere now."""
        ids: list[str] = []
        for number, url in enumerate([PUBLIC_URL, *BAD_URLS, *BAD_NAMES]):
            made = (
                await self.call("POST", "/endpoint", {"url": "https://hooks.example.com/", "uid": f"e{number}"})
            ).json()
            await self._run("update rowcast.endpoint set url = $2 where id = $1", made["id"], url)
            ids.append(made["id"])
        for number, url in enumerate(BAD_TOKEN_URLS):
            made = (await self.call("POST", "/endpoint", {"url": PUBLIC_URL, "uid": f"t{number}"})).json()
            said = OAuth2(token_url=url, client_id="a", client_secret="b")
            sealed = self.api.app.ring.seal(
                authentication_bytes(said), context=seal_context("endpoint_authentication", made["id"])
            )
            await self._run("update rowcast.endpoint set authentication = $2 where id = $1", made["id"], sealed)
        return ids

    async def attempts(self, least: int) -> list[str]:
        """Wait until so many deliveries are owed and none is due soon, and give how each attempt ended."""
        for _ in range(int(WITHIN_S / 0.05)):
            if await self._is_idle(least):
                break
            await asyncio.sleep(0.05)
        else:
            raise SystemExit(f"{stages[-1]}: not idle, {least} should be owed: {await self._states()}")
        async with self.api.app.database.connection() as connection:
            rows = await connection.driver.fetch("select reason || ' ' || excerpt as end from rowcast.attempt")
        return [row["end"] for row in rows]

    async def _states(self) -> list[Any]:
        async with self.api.app.database.connection() as connection:
            rows = await connection.driver.fetch(
                "select status, held, error, count(*), min(due_at - clock_timestamp()) from rowcast.delivery group by 1, 2, 3"
            )
        return [tuple(row.values()) for row in rows]

    async def _is_idle(self, least: int) -> bool:
        async with self.api.app.database.connection() as connection:
            row = await connection.driver.fetchrow(
                "select count(*) as owed, count(*) filter (where status = 'running' or status = 'waiting' "
                "and due_at < clock_timestamp() + interval '10 minutes') as due from rowcast.delivery"
            )
        return bool(row["owed"] >= least and not row["due"])

    async def _run(self, text: str, *values: object) -> None:
        async with self.api.app.database.connection() as connection:
            await connection.driver.execute(text, *values)


async def attack(dsn: str, proxy_url: str) -> dict[str, Any]:
    """Do it all, and give what was seen."""
    more: dict[str, Any] = {"webhooks__allow_http": True, "webhooks__retry_waits_s": (3600.0,)}
    if proxy_url:
        more["egress__proxy"] = proxy_url
    async with running(dsn, roles=("gateway", "relay", "delivery"), **more) as api:
        key = await api.key()
        await api.client.post("/api/v1/app", headers=key, json={"name": "Acme", "uid": "acme"})
        attacked = Attack(api, key)
        stages.append("saving")
        await attacked.saving()
        ids = await attacked.planted()
        count = len(ids) + len(BAD_TOKEN_URLS)
        stages.append("delivery")
        sent = (await attacked.call("POST", "/msg", {"eventType": "order.paid", "payload": {"a": 1}})).json()
        await attacked.attempts(count)
        stages.append("example")
        few = [ids[0], *ids[1:-1:4], ids[-1]]
        examples = [
            (await attacked.call("POST", f"/endpoint/{each}/send-example", {"eventType": "order.paid"})).status_code
            for each in few
        ]
        await attacked.attempts(count + len(few) * (200 in examples))
        stages.append("replay")
        again = [(await attacked.call("POST", f"/msg/{sent['id']}/endpoint/{each}/resend")).status_code for each in few]
        ends = await attacked.attempts(count + len(few) * (200 in examples))
    return {
        "answers": {what: sorted(set(codes)) for what, codes in attacked.answers.items()},
        "examples": sorted(set(examples)), "again": sorted(set(again)),
        "attempts": len(ends), "owed": count + 2 * len(few), "ends": dict(Counter(ends)),
    }  # fmt: skip


async def main(dsn: str, proxy_word: str) -> None:
    """Print what was seen."""
    socket.getaddrinfo = lookup  # type: ignore[assignment]
    async with wired():
        stages.append("control")
        control = [await connected(each) for each in (METADATA, "10.0.0.1", "168.63.129.16", "fd00:ec2::254", PUBLIC)]
        proxy_url = ""
        if proxy_word:
            server = await asyncio.start_server(proxy, "127.0.0.1", 3128)
            proxy_url = "http://127.0.0.1:3128"
        seen = await attack(dsn, proxy_url)
        if proxy_word:
            server.close()
    print(json.dumps({**seen, "control": control, "hits": hits, "proxy": asked_proxy}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
