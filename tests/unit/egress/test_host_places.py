import asyncio

from rowcast.egress.host_places import HostPlaces


async def test_one_more_than_there_are_places_is_told_that_it_is_full() -> None:
    places = HostPlaces(limit=2, wait_s=0.01)

    assert [await places.take("a") for _ in range(3)] == [True, True, False]
    assert await places.take("b")
    places.free("a")
    assert await places.take("a")


async def test_who_waits_gets_the_place_that_becomes_free() -> None:
    places = HostPlaces(limit=1, wait_s=20.0)
    await places.take("a")

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(places.take("a"))
        await asyncio.sleep(0)
        places.free("a")

    assert waiting.result()


async def test_nothing_is_remembered_of_hosts_that_nobody_asks_for() -> None:
    places = HostPlaces(limit=1, wait_s=0.0)

    await places.take("a")
    await places.take("a")
    places.free("a")

    assert places._hosts == {}


async def test_without_a_limit_everybody_gets_a_place() -> None:
    places = HostPlaces(limit=0, wait_s=0.0)

    assert all([await places.take("a") for _ in range(100)])
    places.free("a")
