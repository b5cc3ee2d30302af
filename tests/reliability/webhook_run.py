"""One run of webhooks: rude receivers, delivery workers that are killed, a database that stops; and what there is at the end.

Every tenant has one endpoint and one manner. Producers commit while the faults happen. At the end the database's own
rows are compared with what arrived.
"""

import asyncio
import os
import shutil
import ssl
import tempfile
import threading
import time
from collections import Counter
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import trustme

from rowcast.core.clock import SystemClock
from rowcast.egress.guard import Policy
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.migrate import migrate
from rowcast.store.pool import connect, open_database
from rowcast.webhooks.ids import message_id
from rowcast.webhooks.sealing import KeyRing
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.table import EndpointDraft, EndpointTable
from tests.integration.egress.receivers import receiving
from tests.reliability import rude_receiver as rude
from tests.reliability.ledger_faults import Faults, Schedule
from tests.reliability.ledger_nodes import ROOT, Node, read_logs
from tests.reliability.ledger_nursery import Nursery
from tests.reliability.webhook_audit import Books, Expectation, Leg

LEASE_S = 2
SETTLED_WITHIN_S = 60.0
HANGS, LIMITED, CLOSED_PORT, BAD_TLS = "hangs", "limited", "refused", "tls"
RATE_PER_SECOND = 10
_NO_PORT = 9
_NOTE_CLAIMS = f"""
-- When the one with a rate was claimed: a permit is given after it, and the post comes after the permit.
create table public.limited_claim (event_id uuid, at timestamptz);
create function public.note_limited_claim() returns trigger language plpgsql as $$
begin
    insert into public.limited_claim values (new.event_id, clock_timestamp());
    return null;
end $$;
create trigger note_limited_claim after update on rowcast.delivery for each row
    when (new.fence <> old.fence and new.tenant_id = '{LIMITED}') execute function public.note_limited_claim();
"""

MANNERS: dict[str, rude.Manner] = {
    "early": rude.early, "drips": rude.drips, "never-ends": rude.never_ends, "huge": rude.huge,
    "huge-error": rude.huge_error, "bomb": rude.bomb, "redirects": rude.redirects, "gone": rude.gone,
    "too-many": rude.too_many, "broken": rude.broken, "cuts": rude.cuts, "closes": rude.closes,
    "silent": rude.silent, "junk": rude.junk,
}  # fmt: skip
EXPECTED: dict[str, Expectation] = {
    "fine": Expectation(),
    LIMITED: Expectation(),
    "early": Expectation(),
    "drips": Expectation(frozenset({("retry", "timeout", "200")})),
    "never-ends": Expectation(),
    "huge": Expectation(),
    "huge-error": Expectation(frozenset({("retry", "too_large", "500")})),
    "bomb": Expectation(),
    "redirects": Expectation(frozenset({("retry", "http_307", "307")})),
    "gone": Expectation(
        frozenset({("rejected", "endpoint_gone", "410"), ("rejected", "endpoint_disabled", "")}),
        frozenset({"delivered", "dead", "cancelled"}),
    ),
    "too-many": Expectation(frozenset({("retry", "http_429", "429")})),
    "broken": Expectation(frozenset({("retry", "http_500", "500")})),
    "cuts": Expectation(frozenset({("retry", "reset", "")}), is_counted=False),
    "closes": Expectation(is_counted=False),
    "silent": Expectation(frozenset({("retry", "timeout", "")})),
    "junk": Expectation(frozenset({("retry", "protocol", "")})),
    CLOSED_PORT: Expectation(frozenset({("retry", "refused", "")}), frozenset({"dead"})),
    BAD_TLS: Expectation(frozenset({("retry", "tls", "")}), frozenset({"dead"})),
}
"""What must be recorded of each tenant. The one that hangs is not in it: it is only there to be in the way."""


@dataclass(frozen=True)
class Plan:
    """How much of everything. `seconds` is how long producers commit, and faults happen."""

    faults: Schedule
    seconds: float = 5.0
    messages: int = 8
    fine_messages: int = 120
    limited_messages: int = 50
    queued: int = 2_000


@dataclass
class Outcome:
    """What there is at the end.

    `hanging` counts the states of what is owed to the endpoint that hangs, `claims` are those of the one with a rate.
    """

    books: Books
    receiver: rude.RudeReceiver
    secrets: dict[str, str]
    claims: list[tuple[str, float]]
    hanging: Counter[str]
    faults: dict[str, int]
    unhandled: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)


async def webhook_run(plan: Plan) -> Outcome:
    """Do one run."""
    folder = Path(tempfile.mkdtemp(prefix="rowcast-webhooks-"))
    receiver = rude.RudeReceiver({**MANNERS, HANGS: rude.silent})
    try:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(EmbeddedPostgres(folder / "database"))
            port = await stack.enter_async_context(receiving(receiver))
            tls_port = await stack.enter_async_context(receiving(receiver, tls=_untrusted()))
            secrets = await _prepare(server.dsn, _urls(port, tls_port), port, tls_port)
            environment = _environment(server.dsn, folder, (port, tls_port))
            stage = _Stage(plan, server, asyncio.get_running_loop(), folder)
            played = await asyncio.to_thread(stage.play, environment)
            return Outcome(_books(server.dsn, receiver), receiver, secrets, _claims(server.dsn), *played)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Stage:
    """Nodes, producers and faults of one run."""

    def __init__(self, plan: Plan, server: EmbeddedPostgres, loop: asyncio.AbstractEventLoop, folder: Path) -> None:
        self.plan, self.server, self.loop, self.folder = plan, server, loop, folder

    def play(self, environment: dict[str, str]) -> tuple[Counter[str], dict[str, int], list[str], Counter[str]]:
        nodes: list[Node] = []
        with ExitStack() as stack:
            nursery = stack.enter_context(Nursery(environment))
            stack.callback(lambda: [node.stop() for node in nodes])
            nodes += [Node(role, nr, nursery, self.folder) for nr, role in enumerate(("relay", "delivery", "delivery"))]
            for node in nodes:
                node.wait_for("bus.connected" if node.role == "delivery" else "feed.opened")
            self._queue(HANGS, self.plan.queued)
            self._queue(LIMITED, self.plan.limited_messages)
            faults = Faults(nodes[1:], self.server, self.loop, seed=1)
            producers = [
                threading.Thread(target=self._produce, args=(tenant,)) for tenant in EXPECTED if tenant != LIMITED
            ]
            for producer in producers:
                producer.start()
            faults.run(self.plan.faults, lambda: True)
            for producer in producers:
                producer.join(timeout=self.plan.seconds + 60)
                assert not producer.is_alive()
            faults.revive()
            self._wait_until_settled()
            hanging = self._hanging()
            for node in nodes:
                node.stop()
        done = {"kills": faults.kills, "database_stops": faults.database_stops}
        return hanging, done, *read_logs(nodes)

    def _produce(self, tenant: str) -> None:
        count = self.plan.fine_messages if tenant == "fine" else self.plan.messages
        if tenant in (CLOSED_PORT, BAD_TLS):
            count = 2
        # A slow machine writes less: nobody may write when everything is compared.
        end_at = time.monotonic() + self.plan.seconds + 30.0
        for number in range(count):
            time.sleep(self.plan.seconds / count)
            if time.monotonic() > end_at:
                return
            # An unknown end is settled by the table: what is there was committed.
            with suppress(psycopg.OperationalError), psycopg.connect(self.server.dsn, connect_timeout=5) as connection:
                connection.execute(
                    "select rowcast.emit(%s, 'ledger.counted', jsonb_build_object('number', %s::int))", (tenant, number)
                )

    def _queue(self, tenant: str, count: int) -> None:
        with psycopg.connect(self.server.dsn) as connection:
            connection.execute(
                "select count(rowcast.emit(%s, 'ledger.counted', jsonb_build_object('number', 0)))"
                " from generate_series(1, %s)",
                (tenant, count),
            )

    def _wait_until_settled(self) -> None:
        """Wait for everything but what is owed to the endpoint that hangs."""
        deadline = time.monotonic() + SETTLED_WITHIN_S
        with psycopg.connect(self.server.dsn, autocommit=True) as connection:
            while self._is_owed(connection) and time.monotonic() < deadline:
                time.sleep(0.1)

    def _is_owed(self, connection: psycopg.Connection[Any]) -> bool:
        row = connection.execute(
            """select exists (select from rowcast.event e left join rowcast.event_state s on s.event_id = e.id
                              where s.event_id is null or s.status = 'failed')
                   or exists (select from rowcast.delivery where status in ('waiting', 'running') and tenant_id <> %s)""",
            (HANGS,),
        ).fetchone()
        return row is None or bool(row[0])

    def _hanging(self) -> Counter[str]:
        with psycopg.connect(self.server.dsn) as connection:
            found = connection.execute(
                "select status, count(*) from rowcast.delivery where tenant_id = %s group by status", (HANGS,)
            ).fetchall()
        return Counter(dict(found))


def _books(dsn: str, receiver: rude.RudeReceiver) -> Books:
    with psycopg.connect(dsn) as connection:
        events = connection.execute("select id, tenant_id from rowcast.event").fetchall()
        rows = connection.execute(
            """select d.tenant_id, d.event_id, (e.payload ->> 'number')::int, d.status,
                      array(select array[a.outcome, a.reason, a.code] from rowcast.attempt a
                            where a.delivery_id = d.id order by a.fence)
               from rowcast.delivery d join rowcast.event e on e.id = d.event_id where d.tenant_id <> %s""",
            (HANGS,),
        ).fetchall()
    arrived = Counter((each.tenant, each.message_id) for each in receiver.arrivals)
    return Books(
        committed={message_id(event): tenant for event, tenant in events if tenant != HANGS},
        legs=[Leg(tenant, message_id(event), nr, status, _words(words)) for tenant, event, nr, status, words in rows],
        arrived={place: count for place, count in arrived.items() if place[0] != HANGS},
        taken=frozenset(receiver.kind),
    )


def _claims(dsn: str) -> list[tuple[str, float]]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select event_id, at from public.limited_claim").fetchall()
    return [(message_id(event), at.timestamp()) for event, at in rows]


def _words(words: list[list[str]]) -> tuple[tuple[str, str, str], ...]:
    return tuple((outcome, reason, code) for outcome, reason, code in words)


def _urls(port: int, tls_port: int) -> dict[str, str]:
    places = {tenant: f"http://127.0.0.1:{port}/{tenant}" for tenant in (*EXPECTED, HANGS)}
    # Another host than the others': one that nobody reaches is spared, whatever its port.
    return {
        **places,
        CLOSED_PORT: f"http://127.0.0.2:{_NO_PORT}/{CLOSED_PORT}",
        BAD_TLS: f"https://127.0.0.1:{tls_port}/{BAD_TLS}",
    }


def _untrusted() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def _environment(dsn: str, folder: Path, ports: tuple[int, int]) -> dict[str, str]:
    places = [*(f"127.0.0.1:{port}" for port in ports), f"127.0.0.2:{_NO_PORT}"]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "ROWCAST_DATABASE__URL": dsn,
        "ROWCAST_RELAY__LEASE_S": str(LEASE_S),
        "ROWCAST_DELIVERY__LEASE_S": str(LEASE_S),
        "ROWCAST_DELIVERY__CONCURRENCY": "32",
        "ROWCAST_WEBHOOKS__ALLOW_HTTP": "true",
        "ROWCAST_WEBHOOKS__ALLOW_PRIVATE": ",".join(places),
        "ROWCAST_WEBHOOKS__RATE_PER_MINUTE": "1000000",
        "ROWCAST_WEBHOOKS__ENDPOINT_CONCURRENCY": "8",
        "ROWCAST_WEBHOOKS__TIMEOUT_S": "1.0",
        "ROWCAST_WEBHOOKS__RETRY_WAITS_S": "0.2,0.5,0.5,1,1,2,2,4,4,8",
        "ROWCAST_AUTH__JWT_SECRET": "a-secret-of-the-ledger-run-0123456789abcdef",
        "ROWCAST_TEST_TOLD_FILE": str(folder / "told.jsonl"),
        "ROWCAST_TEST_TELL_WAIT_S": "0",
        "ROWCAST_LOG__FORMAT": "json",
    }


async def _prepare(dsn: str, urls: dict[str, str], *ports: int) -> dict[str, str]:
    """Make the database and its endpoints; gives their secrets by tenant."""
    session = await connect(dsn)
    await migrate(session)
    await session.run_script(_NOTE_CLAIMS)
    await session.close()
    allowed = frozenset({("127.0.0.2", _NO_PORT), *(("127.0.0.1", port) for port in ports)})
    clock = SystemClock()
    async with open_database(dsn) as database:
        keys = SecretTable(database=database, ring=KeyRing(noise=os.urandom), clock=clock)
        table = EndpointTable(database=database, policy=Policy(allowed=allowed), clock=clock, secrets=keys)
        made = {tenant: (await table.create(tenant, EndpointDraft(url=url))).id for tenant, url in urls.items()}
        async with database.connection() as connection:
            await connection.driver.execute(
                f"""update rowcast.endpoint set throttle_rate = {RATE_PER_SECOND} where tenant_id = '{LIMITED}';
                    update rowcast.endpoint set retry_schedule_s = '{{0.2}}' where tenant_id in ('refused', 'tls')"""
            )
        return {tenant: await keys.current(tenant, endpoint) for tenant, endpoint in made.items()}
