"""What holds for one request only: closed networks of one tenant, a client certificate; and the proxy that all pass."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from rowcast.egress.reply import Reply
from rowcast.egress.terms import Identity, Terms, parse_networks
from tests.integration.egress.receivers import answer, read_request, receiving, replying

INSIDE = Terms(networks=parse_networks(["127.0.0.0/8"]))


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return str(path)


def tls(ca: trustme.CA, *, asks: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("hooks.example.com").configure_cert(context)
    if asks:
        ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_network_of_one_tenant_is_reached_by_it_and_by_nobody_else_on_its_connection(
    open_to: Any, ca: trustme.CA, ca_file: str
) -> None:
    hits: list[int] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hits.append(1)
        await replying(answer())(reader, writer)

    async with receiving(respond, tls=tls(ca)) as port:
        names = {"hooks.example.com": ["127.0.0.1"]}
        async with open_to(names=names, ports=frozenset({port}), ca_file=ca_file) as client:
            url = f"https://hooks.example.com:{port}/"
            first = await client.post(url, b"", headers={}, terms=INSIDE)
            # A name that now says it is public, so that only the pooled connection could be the way in.
            client._resolver._known.clear()
            names["hooks.example.com"] = ["203.0.114.1"]
            second = await client.post(url, b"", headers={}, timeout_s=0.2)

    assert (first.status, len(hits)) == (200, 1)
    assert not isinstance(second, Reply)


async def test_client_certificate_is_shown_to_a_receiver_that_asks_for_it(
    open_to: Any, ca: trustme.CA, ca_file: str
) -> None:
    seen: list[str] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown = writer.get_extra_info("ssl_object").getpeercert()
        seen.append(str(shown["subjectAltName"]))
        await replying(answer())(reader, writer)

    mine = ca.issue_cert("sender.example.com")
    identity = Identity(mine.cert_chain_pems[0].bytes(), mine.private_key_pem.bytes())
    async with (
        receiving(respond, tls=tls(ca, asks=True)) as port,
        open_to(("hooks.example.com", port), names={"hooks.example.com": ["127.0.0.1"]}, ca_file=ca_file) as client,
    ):
        url = f"https://hooks.example.com:{port}/"
        known = await client.post(url, b"", headers={}, terms=Terms(identity=identity))
        unknown = await client.post(url, b"", headers={})
        again = await client.post(url, b"", headers={}, terms=Terms(identity=identity))

    assert (known.status, again.status) == (200, 200)
    assert not isinstance(unknown, Reply)
    assert all("sender.example.com" in each for each in seen)


async def test_host_that_is_busy_is_told_as_full_while_others_go_on(open_to: Any) -> None:
    gate = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await gate.wait()
        writer.write(answer())

    async with (
        receiving(slow) as port,
        receiving(replying(answer()), host="127.0.0.2") as other,
        open_to(("127.0.0.1", port), ("127.0.0.2", other), host_limit=1, host_wait_s=0.05, timeout_s=20.0) as client,
        asyncio.TaskGroup() as group,
    ):
        held = group.create_task(client.post(f"http://127.0.0.1:{port}/", b"", headers={}))
        await asyncio.sleep(0)
        full = await client.post(f"http://127.0.0.1:{port}/", b"", headers={})
        fine = await client.post(f"http://127.0.0.2:{other}/", b"", headers={})
        gate.set()

    assert (full.kind, fine.status, held.result().status) == ("full", 200, 200)


class Proxy:
    """Takes CONNECT and says yes or no; keeps what it was asked. What it lets through ends at `port` of this machine."""

    def __init__(self, port: int, refusal: bytes = b"") -> None:
        self.port, self.refusal = port, refusal
        self.asked: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        if self.refusal:
            writer.write(self.refusal)
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, there_writer))
                group.create_task(self._pump(there_reader, writer))
        finally:
            there_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
        writer.close()


async def test_request_passes_the_proxy_by_its_name_and_is_verified_end_to_end(
    open_to: Any, ca: trustme.CA, ca_file: str
) -> None:
    async with receiving(replying(answer()), tls=tls(ca)) as port:
        proxy = Proxy(port)
        async with (
            receiving(proxy) as proxy_port,
            open_to(ca_file=ca_file, proxy=f"http://ann:secret@127.0.0.1:{proxy_port}") as client,
        ):
            known = await client.post("https://hooks.example.com/x", b"{}", headers={})
            foreign = await client.post("https://other.example.com/", b"", headers={})

    assert (known.status, foreign.kind) == (200, "tls")
    assert proxy.asked[0].startswith(b"CONNECT hooks.example.com:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic YW5uOnNlY3JldA==" in proxy.asked[0]


async def test_proxy_that_refuses_or_is_away_is_a_failure_of_its_own(open_to: Any) -> None:
    proxy = Proxy(0, refusal=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    async with receiving(proxy) as port, open_to(proxy=f"http://127.0.0.1:{port}") as client:
        refused = await client.post("https://hooks.example.com/", b"", headers={})
    async with open_to(proxy=f"http://127.0.0.1:{port}") as client:
        away = await client.post("https://hooks.example.com/", b"", headers={})

    assert (refused.kind, away.kind) == ("proxy", "proxy")


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "https://inside.example.com/", "http://hooks.example.com/"])
async def test_guard_judges_what_it_can_before_the_proxy_is_asked(open_to: Any, url: str) -> None:
    proxy = Proxy(0)
    async with (
        receiving(proxy) as port,
        open_to(proxy=f"http://127.0.0.1:{port}", names={"inside.example.com": ["10.0.0.1"]}) as client,
    ):
        failure = await client.post(url, b"", headers={})

    assert (failure.kind, proxy.asked) == ("blocked", [])
