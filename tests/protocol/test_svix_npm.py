"""The `svix` SDK of npm, unchanged, through every resource, with receivers that verify by two libraries."""

import asyncio
import json

from rowcast.server.keys import SCOPES, create_key
from tests.integration.server.running import running
from tests.protocol.js_client import JS, require_js

SECTIONS = {
    "applications", "eventTypes", "endpoints", "errors", "portal", "delivery", "retries", "rotation", "once", "resend",
    "recovery", "transformations", "rawMessages", "expunging", "polling",
}  # fmt: skip
WITHIN_S = 100.0


async def test_every_resource_works_with_the_unchanged_sdk_of_npm(dsn: str) -> None:
    require_js()
    process = await asyncio.create_subprocess_exec(
        "node", "svix.mjs", cwd=JS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            assert process.stdout is not None
            port = json.loads(await process.stdout.readline())["port"]
            said = await _script(process, dsn, port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

    failed = {each["section"]: each["error"] for each in said if each["error"]}
    assert failed == {}, "\n".join(f"{name}: {text}" for name, text in failed.items())
    assert {each["section"] for each in said} == SECTIONS


async def _script(process: asyncio.subprocess.Process, dsn: str, port: int) -> list[dict[str, str]]:
    """Run the script against a server of ours, and give what it says of each section."""
    async with running(
        dsn,
        roles=("gateway", "relay", "delivery"),
        webhooks__allow_http=True,
        webhooks__allow_private=(f"127.0.0.1:{port}",),
        webhooks__retry_waits_s=(0.2, 0.2),
        webhooks__rate_per_minute=6000,
    ) as server:
        key = await create_key(server.app.database, name="npm", scopes=SCOPES)
        bound = await create_key(server.app.database, name="npm", scopes=SCOPES, tenant_id="js")
        told = {"serverUrl": f"http://127.0.0.1:{server.port}", "key": key.text, "tenantKey": bound.text}
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(told).encode() + b"\n")
        await process.stdin.drain()
        return [json.loads(line) async for line in process.stdout]
