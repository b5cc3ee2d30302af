"""The page about moving from Svix: its program copies what one compatible server has to another, once or again."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest_asyncio
from svix.api import ApplicationIn, EndpointIn, EndpointPatch, EventTypeIn

from rowcast import Event
from tests.integration.server.running import Running
from tests.protocol.svix_client import NEWEST, sdk_on

from .page import blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "move-from-svix.md"
SCHEMAS = {"1": {"type": "object", "required": ["id"]}}


class Declared(Event, type="movepage.declared", aggregate="page", key="page_id"):
    """Both servers know it by this class."""

    page_id: str


class Move:
    """Two servers, clients of both, and the page's program between them."""

    def __init__(self, old: tuple[Any, Any, Running], new: tuple[Any, Any, Running], program: Path) -> None:
        self.old, _, old_server = old
        self.new, _, new_server = new
        self._program = program
        self._environment = {
            "OLD_URL": f"http://127.0.0.1:{old_server.port}",
            "OLD_TOKEN": self.old._client.token,
            "NEW_URL": f"http://127.0.0.1:{new_server.port}",
            "NEW_TOKEN": self.new._client.token,
        }

    async def run(self) -> str:
        """Run the program and give what it prints."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(self._program),
            env={**os.environ, **self._environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            printed, _ = await process.communicate()
        assert process.returncode == 0, printed.decode()
        return printed.decode()


@pytest_asyncio.fixture
async def move(make_dsn: Callable[[], str], tmp_path: Path) -> AsyncIterator[Move]:
    """A server with something on it, an empty one, and the program."""
    program = next(block for block in blocks_of(PAGE) if block.title == "move.py")
    (tmp_path / "move.py").write_text(program.text, "utf-8")
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(sdk_on(make_dsn(), NEWEST, webhooks__allow_http=True))
        new = await stack.enter_async_context(sdk_on(make_dsn(), NEWEST))
        yield Move(old, new, tmp_path / "move.py")


async def test_the_program_brings_everything_over_with_its_secrets_and_may_run_again(move: Move) -> None:
    await move.old.event_type.create(EventTypeIn(name="invoice.paid", description="A bill was paid", schemas=SCHEMAS))
    await move.old.application.create(ApplicationIn(name="Acme", uid="acme", throttle_rate=9, metadata={"plan": "pro"}))
    nameless = await move.old.application.create(ApplicationIn(name="Nameless"))
    crm = await move.old.endpoint.create(
        "acme",
        EndpointIn(
            url="https://crm.example.com/hook",
            uid="crm",
            channels=["eu"],
            event_types=["invoice.paid"],
            headers={"x-shop": "7", "authorization": "Bearer hidden"},
        ),
    )
    refused = await move.old.endpoint.create("acme", EndpointIn(url="http://open.example.com/"))
    plain = await move.old.endpoint.create(nameless.id, EndpointIn(url="https://plain.example.com/", disabled=True))

    printed = await move.run()
    await move.new.endpoint.patch("acme", "crm", EndpointPatch(url="https://other.example.com/"))
    await move.run()

    kind = await move.new.event_type.get("invoice.paid")
    assert (kind.name, kind.description, kind.schemas) == ("invoice.paid", "A bill was paid", SCHEMAS)
    acme = await move.new.application.get("acme")
    assert (acme.name, acme.uid, acme.throttle_rate, acme.metadata) == ("Acme", "acme", 9, {"plan": "pro"})
    moved = await move.new.endpoint.get("acme", "crm")
    assert (moved.url, moved.channels, moved.event_types) == (crm.url, ["eu"], ["invoice.paid"])
    assert (await move.new.endpoint.get_headers("acme", "crm")).headers == {"x-shop": "7"}
    assert "acme crm: nobody shows the header authorization again" in printed
    assert f"acme {refused.id}: http://open.example.com/ is not taken: The URL is blocked" in printed
    assert "movepage.declared: left as it is" in printed
    app, uid = f"was-{nameless.id}", f"was-{plain.id}"
    assert f"{nameless.id} is {app}" in printed
    assert (await move.new.endpoint.get(app, uid)).disabled
    for there, here in ((("acme", crm.id), ("acme", "crm")), ((nameless.id, plain.id), (app, uid))):
        assert (await move.new.endpoint.get_secret(*here)).key == (await move.old.endpoint.get_secret(*there)).key
