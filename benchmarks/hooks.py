"""Endpoints, their receivers, and a rowcast that posts to them: what the scenarios about webhooks share."""

import asyncio
import base64
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import trustme

from benchmarks.children import Child, child, python_peer
from benchmarks.nodes import Node, node
from rowcast.core.clock import SystemClock
from rowcast.egress.guard import Policy
from rowcast.store.pool import open_database
from rowcast.webhooks.sealing import KeyRing, parse_key
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.table import EndpointDraft, EndpointTable

AT_ONCE = 200
ATTEMPTS = 400
"""How many attempts rowcast may have under way: most of them wait for the database, not for the receiver."""
TENANTS = 40
_KEY = "bench:" + base64.b64encode(b"b" * 32).decode()
_UNLIMITED_PER_MINUTE = 100_000_000
_OWED = "select exists (select 1 from rowcast.delivery where sink = 'webhooks' and status in ('waiting', 'running'))"


@dataclass(frozen=True)
class Receiver:
    """A receiver in a process of its own, and where it listens."""

    child: Child
    url: str
    ca_file: str = ""

    @property
    def place(self) -> str:
        """Give its host and port."""
        return self.url.partition("://")[2]

    async def forget(self) -> None:
        """Let it begin anew."""
        await self.child.say("forget")
        assert await self.child.line() == "forgotten"

    async def begin_wait(self, count: int) -> None:
        """Ask it when so many have come; `ended_at` gives the answer."""
        await self.child.say(f"wait {count}")

    async def ended_at(self) -> float:
        """Give when so many had come."""
        return float(await self.child.line())

    async def quantiles_ms(self) -> tuple[float, float, float]:
        """Give p50, p95 and p99 from the `at` of each payload to its arrival."""
        await self.child.say("waits")
        p50, p95, p99 = (float(text) for text in (await self.child.line()).split())
        return p50, p95, p99


@asynccontextmanager
async def receiver(*, is_encrypted: bool) -> AsyncIterator[Receiver]:
    """Start a receiver for a block."""
    with tempfile.TemporaryDirectory(prefix="rowcast-bench-") as name:
        words = _certificate(Path(name)) if is_encrypted else []
        async with child(*python_peer("hook_receiver", *words[:2])) as peer:
            port = (await peer.line()).split()[1]
            if is_encrypted:
                yield Receiver(peer, f"https://127.0.0.1:{port}", words[2])
            else:
                yield Receiver(peer, f"http://127.0.0.1:{port}")


def _certificate(folder: Path) -> list[str]:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    paths = [folder / name for name in ("certificate.pem", "key.pem", "authority.pem")]
    paths[0].write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(paths[1]))
    authority.cert_pem.write_to_path(str(paths[2]))
    return [str(path) for path in paths]


async def add_endpoints(dsn: str, urls: dict[str, str]) -> dict[str, str]:
    """Give each tenant one endpoint, its secret sealed as in production; gives the ids."""
    clock, ring = SystemClock(), KeyRing([parse_key(_KEY)], noise=os.urandom)
    places = {url.partition("://")[2].partition("/")[0] for url in urls.values()}
    allowed = frozenset((host, int(port)) for host, _, port in (place.partition(":") for place in places))
    async with open_database(dsn) as database:
        secrets = SecretTable(database=database, ring=ring, clock=clock)
        table = EndpointTable(database=database, policy=Policy(allowed=allowed), clock=clock, secrets=secrets)
        return {tenant: (await table.create(tenant, EndpointDraft(url=url))).id for tenant, url in urls.items()}


@asynccontextmanager
async def posting(dsn: str, receivers: Sequence[Receiver], **settings: str) -> AsyncIterator[Node]:
    """Start a rowcast that may reach these receivers, for a block. Limits hold, but for those of a shared host."""
    places = ",".join(each.place for each in receivers)
    ca_files = [each.ca_file for each in receivers if each.ca_file]
    chosen = {
        "webhooks__allow_http": "true",
        "webhooks__allow_private": places,
        "webhooks__rate_per_minute": str(_UNLIMITED_PER_MINUTE),
        # Every endpoint of a benchmark is on this machine; of the others each has its own host.
        "webhooks__host_concurrency": "0",
        "delivery__concurrency": str(ATTEMPTS),
        "secrets__keys": _KEY,
        "egress__ca_file": ca_files[0] if ca_files else "",
        **settings,
    }
    async with node(dsn, **chosen) as running:
        yield running


@asynccontextmanager
async def poster(name: str, target: Receiver, size_bytes: int) -> AsyncIterator[Child]:
    """Start a peer that posts without a database, for a block.

    Raises:
        RuntimeError: It does not run here.
    """
    words = (f"{target.url}/peer", str(AT_ONCE), str(size_bytes), target.ca_file)
    async with child(*python_peer(name, *words)) as peer:
        if await peer.line() != "ready":
            raise RuntimeError(f"{name} did not begin")
        yield peer


async def settled(connection: asyncpg.Connection) -> None:
    """Wait until every delivery has its result in the database."""
    async with asyncio.timeout(120):
        while await connection.fetchval(_OWED):  # noqa: ASYNC110 - a table tells nobody
            await asyncio.sleep(0.005)
