"""Names become addresses, bounded."""

import asyncio
import threading
from collections.abc import Sequence

from rowcast.egress.resolver import STALE_S, Addresses, Resolver
from rowcast.testing.fake_clock import FakeClock


class Names:
    """A look-up that counts; `gate` holds it back."""

    def __init__(self, answer: Sequence[str] | OSError) -> None:
        self.answer, self.asked, self.gate = answer, 0, threading.Event()
        self.gate.set()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked += 1
        self.gate.wait(5)
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


async def test_answer_is_remembered_for_its_time() -> None:
    clock, names = FakeClock(), Names(["8.8.8.8", "8.8.8.8", "1.1.1.1"])
    resolver = Resolver(clock=clock, lookup=names, ttl_s=30)

    first = await resolver.resolve("a.example", timeout_s=5)
    clock.tick(29)
    await resolver.resolve("a.example", timeout_s=5)
    asked_before = names.asked
    clock.tick(2)
    await resolver.resolve("a.example", timeout_s=5)

    assert first == Addresses(("8.8.8.8", "1.1.1.1"))
    assert (asked_before, names.asked) == (1, 2)


async def test_failure_is_remembered_for_a_shorter_time() -> None:
    clock, names = FakeClock(), Names(OSError("no such name"))
    resolver = Resolver(clock=clock, lookup=names, failed_ttl_s=5)

    found = [await resolver.resolve("a.example", timeout_s=5) for _ in range(3)]
    clock.tick(6)
    await resolver.resolve("a.example", timeout_s=5)

    assert found == [Addresses((), "no such name")] * 3
    assert names.asked == 2


async def test_name_is_looked_up_once_for_everybody_who_waits() -> None:
    names = Names(["8.8.8.8"])
    names.gate.clear()
    resolver = Resolver(clock=FakeClock(), lookup=names)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(resolver.resolve("a.example", timeout_s=5), name=f"r:{i}") for i in range(10)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        names.gate.set()

    assert [task.result().found for task in tasks[1:]] == [("8.8.8.8",)] * 9
    assert names.asked == 1


async def test_slow_name_has_no_address_for_now_and_its_answer_is_kept_for_later() -> None:
    names = Names(["8.8.8.8"])
    names.gate.clear()
    resolver = Resolver(clock=FakeClock(), lookup=names)

    slow = await resolver.resolve("a.example", timeout_s=0.01)
    names.gate.set()
    later = await resolver.resolve("a.example", timeout_s=5)

    assert (slow.found, later.found, names.asked) == ((), ("8.8.8.8",), 1)


async def test_too_many_slow_names_are_refused_and_not_queued() -> None:
    names = Names(["8.8.8.8"])
    names.gate.clear()
    resolver = Resolver(clock=FakeClock(), lookup=names, threads=1)
    for number in range(16):
        await resolver.resolve(f"{number}.example", timeout_s=0.001)

    refused = await resolver.resolve("one-more.example", timeout_s=5)
    names.gate.set()

    assert refused.problem == "too many names are being looked up"
    resolver.close()


async def test_name_that_nobody_had_time_to_ask_for_is_not_called_slow_and_its_last_answer_still_holds() -> None:
    clock, names = FakeClock(), Names(["8.8.8.8"])
    resolver = Resolver(clock=clock, lookup=names, threads=1, ttl_s=30)
    known = await resolver.resolve("well.example", timeout_s=5)
    names.gate.clear()
    while "slow.example" not in resolver._begun:
        await resolver.resolve("slow.example", timeout_s=0.01)
    clock.tick(31)

    again, unknown = [await resolver.resolve(f"{name}.example", timeout_s=0.01) for name in ("well", "new")]
    clock.tick(STALE_S)
    old = await resolver.resolve("well.example", timeout_s=0.01)
    names.gate.set()

    assert again == known
    assert (unknown.found, unknown.is_crowded) == ((), True)
    assert (old.found, old.is_crowded) == ((), True)
    slow = await resolver.resolve("slow.example", timeout_s=5)
    assert slow.found == ("8.8.8.8",)
    resolver.close()


async def test_name_that_is_slow_itself_is_not_crowded() -> None:
    names = Names(["8.8.8.8"])
    names.gate.clear()
    resolver = Resolver(clock=FakeClock(), lookup=names)

    slow = await resolver.resolve("slow.example", timeout_s=0.5)
    names.gate.set()

    assert (slow.found, slow.is_crowded) == ((), False)


async def test_five_hundred_answers_are_cut_to_a_few() -> None:
    names = Names([f"8.8.{number // 250}.{number % 250}" for number in range(500)])

    assert len((await Resolver(clock=FakeClock(), lookup=names).resolve("a.example", timeout_s=5)).found) == 8
