"""Names that point inside, and TLS that cannot be trusted."""

import asyncio
import ssl
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from rowcast.core.clock import SystemClock
from rowcast.egress.client import open_client
from rowcast.egress.guard import Policy
from rowcast.egress.reply import EgressSettings
from rowcast.egress.resolver import Resolver
from rowcast.testing.fake_clock import FakeClock
from tests.integration.egress.receivers import answer, receiving, replying

INSIDE = [
    "127.0.0.1",
    "10.0.0.1",
    "169.254.169.254",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "fd00:ec2::254",
    "fe80::1%lo",
]


class Counting:
    """A receiver that counts connections: the trip wire."""

    def __init__(self) -> None:
        self.hits = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        await replying(answer())(reader, writer)


async def test_name_that_stands_for_an_address_inside_is_blocked_without_a_connection(open_to: Any) -> None:
    wire = Counting()
    async with receiving(wire) as port:
        for address in INSIDE:
            async with open_to(names={"evil.example.com": [address]}, ports=frozenset({port})) as client:
                failure = await client.post(f"https://evil.example.com:{port}/", b"", headers={})
                assert failure.kind == "blocked", address

    assert wire.hits == 0


@pytest.mark.parametrize("answers", [["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["2606:4700::1", "::1"]])
async def test_one_answer_inside_among_public_ones_blocks_the_name(open_to: Any, answers: Sequence[str]) -> None:
    async with open_to(names={"mixed.example.com": answers}) as client:
        assert (await client.post("https://mixed.example.com/", b"", headers={})).kind == "blocked"


async def test_name_that_was_public_and_now_points_inside_is_blocked() -> None:
    answers = iter([["203.0.114.1"], ["127.0.0.1"]])
    clock = FakeClock()
    resolver = Resolver(clock=clock, lookup=lambda host: next(answers), ttl_s=30.0)
    settings = EgressSettings(connect_timeout_s=0.05, timeout_s=0.05)
    wire = Counting()
    async with receiving(wire) as port:
        policy = Policy(ports=frozenset({port}))
        async with open_client(clock=clock, settings=settings, policy=policy, resolver=resolver) as client:
            first = await client.post(f"https://rebind.example.com:{port}/", b"", headers={})
            clock.tick(31)
            second = await client.post(f"https://rebind.example.com:{port}/", b"", headers={})

    assert first.kind != "blocked"
    assert (second.kind, wire.hits) == ("blocked", 0)


async def test_connection_itself_is_judged_even_when_every_earlier_check_was_fooled(
    open_to: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Counting()
    monkeypatch.setattr("rowcast.egress.client.is_blocked", lambda *args, **options: False)
    async with (
        receiving(wire) as port,
        open_to(names={"evil.example.com": ["127.0.0.1"]}, ports=frozenset({port})) as client,
    ):
        failure = await client.post(f"https://evil.example.com:{port}/", b"", headers={})

    assert (failure.kind, wire.hits) == ("blocked", 0)


async def test_name_without_an_address_is_a_dns_failure(open_to: Any) -> None:
    async with open_to() as client:
        failure = await client.post("https://nowhere.example.com/", b"", headers={})

    assert failure.kind == "dns"


def serving_tls(ca: trustme.CA, *names: str, expired: bool = False) -> ssl.SSLContext:
    until = SystemClock().now() + timedelta(days=-1 if expired else 30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names, not_before=until - timedelta(days=60), not_after=until).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return str(path)


async def post_tls(open_to: Any, context: ssl.SSLContext, ca_file: str) -> Any:
    async with receiving(replying(answer()), tls=context) as port:
        allowed = ("hooks.example.com", port)
        async with open_to(allowed, names={"hooks.example.com": ["127.0.0.1"]}, ca_file=ca_file) as client:
            return await client.post(f"https://hooks.example.com:{port}/", b"{}", headers={})


async def test_trusted_certificate_is_taken_and_the_time_is_split(open_to: Any, ca: trustme.CA, ca_file: str) -> None:
    reply = await post_tls(open_to, serving_tls(ca, "hooks.example.com"), ca_file)

    assert reply.status == 200
    timings = reply.timings
    assert 0 < timings.dns_ms < timings.connect_ms < timings.tls_ms < timings.first_byte_ms <= timings.total_ms


async def test_expired_certificate_is_a_tls_failure(open_to: Any, ca: trustme.CA, ca_file: str) -> None:
    assert (await post_tls(open_to, serving_tls(ca, "hooks.example.com", expired=True), ca_file)).kind == "tls"


async def test_certificate_of_another_host_is_a_tls_failure(open_to: Any, ca: trustme.CA, ca_file: str) -> None:
    assert (await post_tls(open_to, serving_tls(ca, "other.example.com"), ca_file)).kind == "tls"


async def test_certificate_of_an_unknown_authority_is_a_tls_failure(open_to: Any, ca_file: str) -> None:
    assert (await post_tls(open_to, serving_tls(trustme.CA(), "hooks.example.com"), ca_file)).kind == "tls"


async def test_receiver_without_the_public_authorities_is_not_trusted_by_default(open_to: Any, ca: trustme.CA) -> None:
    assert (await post_tls(open_to, serving_tls(ca, "hooks.example.com"), "")).kind == "tls"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_tls_older_than_1_2_is_a_tls_failure(open_to: Any, ca: trustme.CA, ca_file: str) -> None:
    context = serving_tls(ca, "hooks.example.com")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1

    assert (await post_tls(open_to, context, ca_file)).kind == "tls"


async def test_plain_server_behind_an_encrypted_url_is_a_failure(open_to: Any, ca_file: str) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("400 Bad Request"))

    async with (
        receiving(respond) as port,
        open_to(("hooks.example.com", port), names={"hooks.example.com": ["127.0.0.1"]}, ca_file=ca_file) as client,
    ):
        assert (await client.post(f"https://hooks.example.com:{port}/", b"", headers={})).kind == "tls"


async def test_name_that_nobody_had_time_to_look_up_counts_against_nobody() -> None:
    clock, gate = SystemClock(), threading.Event()

    def lookup(host: str) -> list[str]:
        gate.wait(5.0)
        return ["8.8.8.8"]

    resolver = Resolver(clock=clock, lookup=lookup, threads=1)
    settings = EgressSettings(connect_timeout_s=0.2)
    async with open_client(clock=clock, settings=settings, resolver=resolver) as client, asyncio.TaskGroup() as group:
        slow = group.create_task(client.post("https://slow.example/", b"", headers={}))
        await asyncio.sleep(0.05)
        crowded = await client.post("https://well.example/", b"", headers={})
        gate.set()

    assert (slow.result().kind, crowded.kind) == ("dns", "full")
