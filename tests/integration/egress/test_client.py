"""Every way a receiver can misbehave, on real sockets."""

import asyncio
import gzip
import socket
import threading
from typing import Any

import pytest

from rowcast.core.clock import SystemClock
from rowcast.egress.client import EgressClient, open_client
from rowcast.egress.reply import EgressFailure, Reply
from tests.integration.egress.receivers import answer, read_request, receiving, replying, reset

HEADERS = {"content-type": "application/json"}


async def post(client: EgressClient, port: int, path: str = "/", **options: Any) -> Any:
    return await client.post(f"http://127.0.0.1:{port}{path}", b'{"a":1}', headers=HEADERS, **options)


async def test_post_sends_exactly_the_request_and_nothing_personal(
    open_to: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(answer("200 OK", b"yes", "Set-Cookie: a=b", "X-Twice: 1", "X-Twice: 2"))

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with receiving(respond) as port, open_to(("127.0.0.1", port)) as client:
        replies = [await post(client, port, "/a/../b?c=%00") for _ in range(2)]

    assert all(isinstance(reply, Reply) for reply in replies)
    assert (replies[0].status, replies[0].body, replies[0].headers["x-twice"]) == (200, b"yes", "1")
    head, body = seen[1]
    assert body == b'{"a":1}'
    assert sorted(head.decode().split("\r\n")) == sorted(
        [
            "POST /a/../b?c=%00 HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "User-Agent: rowcast",
            "Accept: */*",
            "Accept-Encoding: identity",
            "content-type: application/json",
            "Content-Length: 7",
            "",
            "",
        ]
    )


async def test_gets_and_posts_on_one_connection_are_each_what_they_are(open_to: Any) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(4):
            seen.append(await read_request(reader))
            writer.write(answer("200 OK", b"yes"))

    async with receiving(respond) as port, open_to(("127.0.0.1", port)) as client:
        for _ in range(2):
            reply = await client.get(f"http://127.0.0.1:{port}/keys", headers={"accept": "application/json"})
            assert (reply.status, reply.body) == (200, b"yes")
            assert (await post(client, port)).status == 200

    assert [(head.split(b" HTTP")[0], body) for head, body in seen] == [
        (b"GET /keys", b""),
        (b"POST /", b'{"a":1}'),
    ] * 2
    assert b"content-length" not in seen[2][0].lower()
    assert b"accept: application/json" in seen[2][0]


async def test_connection_is_kept_for_the_next_request(open_to: Any) -> None:
    connections: list[int] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        await replying(answer())(reader, writer)

    async with receiving(respond) as port, open_to(("127.0.0.1", port)) as client:
        for _ in range(5):
            assert (await post(client, port)).status == 200

    assert len(connections) == 1


async def test_kept_connection_that_the_peer_closed_costs_no_request(open_to: Any) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer())

    async with receiving(respond) as port, open_to(("127.0.0.1", port)) as client:
        assert [(await post(client, port)).status for _ in range(5)] == [200] * 5


async def test_kept_connection_that_is_reset_on_the_next_request_is_tried_afresh(open_to: Any) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer())
        await read_request(reader)
        reset(writer)

    async with receiving(respond) as port, open_to(("127.0.0.1", port)) as client:
        assert [(await post(client, port)).status for _ in range(3)] == [200] * 3


async def test_a_failure_says_whether_somebody_took_the_connection(open_to: Any) -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer())
        await reader.read()

    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, socket.socket() as first, socket.socket() as second:
        for waiting in (first, second):  # nobody accepts, so the next connection is not taken
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        full = deaf.getsockname()[1]
        async with receiving(answer_once) as port, open_to(("127.0.0.1", port), ("127.0.0.1", full)) as client:
            assert (await post(client, port)).status == 200
            kept = await post(client, port, timeout_s=0.3)
            fresh = await post(client, port, "/", timeout_s=5.0)
            untaken = await post(client, full, timeout_s=0.3)

    assert (kept.kind, kept.is_connected, kept.timings.connect_ms) == ("timeout", True, 0.0)
    assert fresh.status == 200
    assert (untaken.kind, untaken.is_connected) == ("timeout", False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_an_answer_and_is_not_followed(open_to: Any, status: int) -> None:
    asked: list[bytes] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked.append((await read_request(reader))[0])
            writer.write(answer(f"{status} Moved", b"", "Location: /again"))

    async with receiving(respond) as port, open_to(("127.0.0.1", port)) as client:
        reply = await post(client, port)

    assert (reply.status, reply.headers["location"], len(asked)) == (status, "/again", 1)


@pytest.mark.parametrize(
    ("status", "retry_after"),
    [(410, ""), (429, "7"), (429, "Fri, 19 Jun 2036 12:00:00 GMT"), (429, "-1"), (429, "junk"), (503, "315360000")],
)
async def test_status_and_retry_after_come_back_as_they_were_sent(open_to: Any, status: int, retry_after: str) -> None:
    sent = answer(f"{status} X", b"", f"Retry-After: {retry_after}")
    async with receiving(replying(sent)) as port, open_to(("127.0.0.1", port)) as client:
        reply = await post(client, port)

    assert (reply.status, reply.headers["retry-after"]) == (status, retry_after)


async def test_failure_then_success_are_two_answers(open_to: Any) -> None:
    async with receiving(replying(answer("500 Oops"), answer())) as port, open_to(("127.0.0.1", port)) as client:
        assert [(await post(client, port)).status for _ in range(2)] == [500, 200]


async def test_informational_answers_are_passed_over(open_to: Any) -> None:
    early = b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with receiving(replying(early + answer())) as port, open_to(("127.0.0.1", port)) as client:
        reply = await post(client, port)

    assert (reply.status, reply.headers) == (200, {"content-length": "2"})


async def test_endless_informational_answers_end(open_to: Any) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            await writer.drain()

    async with receiving(respond) as port, open_to(("127.0.0.1", port), timeout_s=2.0) as client:
        failure = await post(client, port)

    assert isinstance(failure, EgressFailure)
    assert failure.kind in ("too_large", "timeout", "protocol")


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_huge_or_never_ending_body_is_cut_at_the_cap(open_to: Any, head: bytes) -> None:
    sent: list[int] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head)
        while True:
            writer.write(b"x" * 65_536)
            sent.append(65_536)
            await writer.drain()

    async with receiving(respond) as port, open_to(("127.0.0.1", port)) as client:
        failure = await post(client, port)

    assert (failure.kind, failure.status) == ("too_large", 200)
    assert sum(sent) < 32 * 1024 * 1024


async def test_body_at_the_cap_is_taken_whole(open_to: Any) -> None:
    async with receiving(replying(answer("200 OK", b"x" * 65_536))) as port, open_to(("127.0.0.1", port)) as client:
        assert len((await post(client, port)).body) == 65_536


async def test_gzip_bomb_is_not_unpacked(open_to: Any) -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    async with (
        receiving(replying(answer("200 OK", bomb, "Content-Encoding: gzip"))) as port,
        open_to(("127.0.0.1", port)) as client,
    ):
        reply = await post(client, port)

    assert reply.body == bomb


async def test_body_that_drips_ends_with_the_deadline(open_to: Any) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.02)

    async with receiving(respond) as port, open_to(("127.0.0.1", port)) as client:
        failure = await post(client, port, timeout_s=0.3)

    assert (failure.kind, failure.status) == ("timeout", 200)
    assert failure.timings.first_byte_ms > 0


async def test_receiver_that_never_answers_ends_with_the_deadline(open_to: Any) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with receiving(respond) as port, open_to(("127.0.0.1", port), timeout_s=0.2) as client:
        assert (await post(client, port)).kind == "timeout"


async def test_huge_headers_are_cut_at_the_cap(open_to: Any) -> None:
    sent = answer("200 OK", b"", *[f"X-{number}: {'a' * 1000}" for number in range(60)])
    async with receiving(replying(sent)) as port, open_to(("127.0.0.1", port)) as client:
        assert (await post(client, port)).kind == "too_large"


@pytest.mark.parametrize("sent", [b"garbage\r\n\r\n", b"HTTP/0.9\r\n", b"SSH-2.0-OpenSSH\r\n", b"\x00" * 100 + b"\r\n"])
async def test_what_is_no_http_is_a_failure(open_to: Any, sent: bytes) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(sent)

    async with receiving(respond) as port, open_to(("127.0.0.1", port), timeout_s=2.0) as client:
        failure = await post(client, port)

    assert isinstance(failure, EgressFailure)
    assert failure.kind in ("protocol", "reset")


async def test_reset_after_the_request_is_a_failure(open_to: Any) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        reset(writer)

    async with receiving(respond) as port, open_to(("127.0.0.1", port)) as client:
        assert (await post(client, port)).kind == "reset"


async def test_body_that_ends_early_is_a_failure_with_its_status(open_to: Any) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    async with receiving(respond) as port, open_to(("127.0.0.1", port)) as client:
        failure = await post(client, port)

    assert (failure.kind, failure.status) == ("reset", 200)


async def test_port_where_nobody_listens_is_refused(open_to: Any) -> None:
    async with receiving(replying(answer())) as port:
        pass
    async with open_to(("127.0.0.1", port)) as client:
        assert (await post(client, port)).kind == "refused"


async def test_request_beyond_the_bound_is_answered_full_and_the_place_is_freed(open_to: Any) -> None:
    both, release = asyncio.Barrier(3), asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        if not release.is_set():
            await both.wait()
        await release.wait()
        writer.write(answer())

    async with receiving(respond) as port, open_to(("127.0.0.1", port), max_in_flight=2) as client:
        async with asyncio.TaskGroup() as group:
            first = [group.create_task(post(client, port), name=f"post:{number}") for number in range(2)]
            await both.wait()
            refused = await post(client, port)
            release.set()
        after = await post(client, port)

    assert refused.kind == "full"
    assert [task.result().status for task in first] == [200, 200]
    assert after.status == 200


async def test_cancelled_post_closes_its_connection_and_frees_its_place(open_to: Any) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await reader.read()
        left.set()

    async with receiving(respond) as port, open_to(("127.0.0.1", port), max_in_flight=1) as client:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(post(client, port), name="post")
            await arrived.wait()
            task.cancel()
        async with asyncio.timeout(5.0):
            await left.wait()

        assert client.in_flight == 0


async def test_closing_answers_what_is_under_way_and_leaves_no_thread(open_to: Any) -> None:
    arrived = asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await asyncio.Event().wait()

    async with receiving(respond) as port, asyncio.TaskGroup() as group:
        async with open_to(("127.0.0.1", port)) as client:
            task = group.create_task(post(client, port), name="post")
            await arrived.wait()
        late = await post(client, port)

    assert (task.result().kind, late.kind) == ("closed", "closed")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rowcast-egress")]


async def test_wire_that_never_reports_is_not_waited_for(open_to: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowcast.egress.client._GRACE_S", 0.05)
    monkeypatch.setattr("rowcast.egress.wire.Wire.wake", lambda wire: None)

    async with open_to(("127.0.0.1", 9)) as client, asyncio.timeout(20):
        answer = await client.post("http://127.0.0.1:9/", b"{}", headers={}, timeout_s=0.05)

        assert (answer.kind, answer.text) == ("timeout", "the exchange did not end in time")
        assert client.in_flight == 0


async def test_slow_receivers_do_not_slow_the_loop_or_their_neighbours(open_to: Any) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with (
        receiving(hang) as slow,
        receiving(replying(answer())) as good,
        open_to(("127.0.0.1", slow), ("127.0.0.1", good), timeout_s=1.0) as client,
        asyncio.TaskGroup() as group,
    ):
        hanging = [group.create_task(post(client, slow), name=f"slow:{number}") for number in range(100)]
        replies = [await post(client, good) for _ in range(50)]
        assert not any(task.done() for task in hanging)

    assert {reply.status for reply in replies} == {200}
    assert {task.result().kind for task in hanging} == {"timeout"}


@pytest.mark.parametrize(
    ("url", "headers", "kind"),
    [
        ("http://127.0.0.1/", {}, "blocked"),
        ("https://10.0.0.1/", {}, "blocked"),
        ("http://example.com/", {}, "blocked"),
        ("https://localhost/", {}, "blocked"),
        ("nonsense", {}, "invalid"),
        ("https://example.com/", {"a": "b\r\nc"}, "invalid"),
        ("https://example.com/", {"Host": "x"}, "invalid"),
    ],
)
async def test_url_or_header_that_must_not_be_sent_is_a_failure(
    open_to: Any, url: str, headers: dict[str, str], kind: str
) -> None:
    async with open_to() as client:
        assert (await client.post(url, b"", headers=headers)).kind == kind


async def test_client_opens_with_its_defaults() -> None:
    async with open_client(clock=SystemClock()) as client:
        assert (await client.post("https://127.0.0.1/", b"", headers={})).kind == "blocked"
