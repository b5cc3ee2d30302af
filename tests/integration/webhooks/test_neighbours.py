"""What one tenant can do to another by where it has its messages posted."""

import socket

from rowcast.core.outcome import Delivered, Postponed, Retry
from rowcast.egress.client import open_client
from rowcast.egress.guard import Policy
from tests.integration.webhooks.engine import Engine


async def test_a_closed_port_of_a_host_holds_up_nobody_at_its_open_one(engine: Engine) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, and nobody listens
        port = closed.getsockname()[1]
        ports = (int(engine.url.rpartition(":")[2]), port)
        policy = Policy(allowed=frozenset(("127.0.0.1", each) for each in ports))
        async with open_client(clock=engine.clock, policy=policy) as engine.client:
            sink = engine.sink()
            bad, good = await engine.endpoint(tenant_id="beta"), await engine.endpoint()
            url = f"http://127.0.0.1:{port}/"
            await engine.run("update rowcast.endpoint set url = :url where id = :id", url=url, id=bad)

            outcomes = [await engine.deliver(sink, bad, "beta") for _ in range(21)]
            reached = await engine.deliver(sink, good)

    assert {type(each) for each in outcomes[:20]} == {Retry}
    assert isinstance(outcomes[20], Postponed)
    assert isinstance(reached, Delivered)
