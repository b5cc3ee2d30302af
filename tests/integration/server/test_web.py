"""uvicorn's protocol behind our listener: bounded at the end, deaf to forged addresses."""

import asyncio
from typing import Any

import httpx

from rowcast.server.ports import bind
from rowcast.server.web import HttpProtocols, listening


class Application:
    """An ASGI application that tells its life, and answers `/slow` never."""

    def __init__(self) -> None:
        self.life: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                self.life.append(step)
                await send({"type": f"lifespan.{step}.complete"})
            return
        if scope["path"] == "/slow":
            self.life.append("slow")
            await asyncio.sleep(600)
        body = f"{scope['client'][0]} {scope['scheme']}".encode()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
        )
        await send({"type": "http.response.body", "body": body})


async def test_an_application_is_started_served_and_stopped() -> None:
    application = Application()
    http = HttpProtocols(application)
    with bind("127.0.0.1", 0, is_next_allowed=False) as listener:
        await http.open()
        async with listening(listener, http), httpx.AsyncClient() as client:
            reply = await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        await http.close()

    assert reply.status_code == 200
    assert "server" not in reply.headers
    assert application.life == ["startup", "shutdown"]


async def test_a_forwarded_address_of_a_stranger_is_not_believed() -> None:
    http = HttpProtocols(Application())
    with bind("127.0.0.1", 0, is_next_allowed=False) as listener:
        await http.open()
        async with listening(listener, http), httpx.AsyncClient() as client:
            forged = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
            reply = await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", headers=forged)
        await http.close()

    assert reply.text == "127.0.0.1 http"


async def test_a_request_that_never_ends_holds_up_the_end_for_a_bounded_time_only() -> None:
    application = Application()
    http, loop = HttpProtocols(application), asyncio.get_running_loop()
    with bind("127.0.0.1", 0, is_next_allowed=False) as listener:
        await http.open()
        async with listening(listener, http):
            _, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
            writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            while "slow" not in application.life:
                await asyncio.sleep(0.01)
        before = loop.time()
        await http.close()
        writer.close()

    assert loop.time() - before < 20
    assert application.life == ["startup", "slow", "shutdown"]
