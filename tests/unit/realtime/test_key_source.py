"""Keys that are fetched: seldom, soon when one is missed, and kept when a fetch fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rowcast.core.clock import SystemClock
from rowcast.core.errors import VendorError
from rowcast.realtime.authorize import Authorizer, Claims, Refusal
from rowcast.realtime.key_source import FetchedKeys
from tests.unit.realtime.signing import jwk, key_set, part, signed

SECRET = "a secret for tests that has more than 32 bytes"
AWAY = VendorError("nobody there", vendor="keys")


class Issuer:
    """Gives one document after the other, the last one again and again; an error is raised."""

    def __init__(self, *documents: bytes | VendorError) -> None:
        self.documents = list(documents)
        self.asked = 0
        self.reports: list[str] = []

    async def fetch(self) -> bytes:
        found = self.documents[min(self.asked, len(self.documents) - 1)]
        self.asked += 1
        if isinstance(found, VendorError):
            raise found
        return found


@asynccontextmanager
async def fetching(issuer: Issuer, *, life_s: float = 3600.0, pause_s: float = 3600.0) -> AsyncIterator[FetchedKeys]:
    keys = FetchedKeys(issuer.fetch, life_s=life_s, pause_s=pause_s, report=issuer.reports.append)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keys.run(), name="keys")
        yield keys
        running.cancel()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


def check(authorizer: Authorizer, token: str) -> Claims | Refusal:
    return authorizer.check(token, now=SystemClock().now())


async def test_a_flood_of_unknown_names_asks_for_the_keys_no_more_often() -> None:
    issuer = Issuer(key_set(jwk("rsa")))
    async with fetching(issuer) as keys:
        await until(lambda: bool(keys.current.keys))
        authorizer = Authorizer(secret=SECRET, keys=keys)
        for number in range(500):
            found = check(authorizer, signed("P-256", "ES256", header={"kid": str(number)}))
            assert isinstance(found, Refusal)
            await asyncio.sleep(0)

        assert isinstance(check(authorizer, signed("rsa", "RS256")), Claims)
        assert issuer.asked == 1


async def test_a_new_key_is_taken_soon_after_a_token_names_it_and_an_old_one_is_not_any_more() -> None:
    issuer = Issuer(key_set(jwk("rsa")), key_set(jwk("P-256")))
    async with fetching(issuer, pause_s=0.01) as keys:
        await until(lambda: bool(keys.current.keys))
        authorizer = Authorizer(secret=SECRET, keys=keys)
        old, new = signed("rsa", "RS256"), signed("P-256", "ES256")

        assert isinstance(check(authorizer, old), Claims)
        assert isinstance(check(authorizer, new), Refusal)
        await until(lambda: isinstance(check(authorizer, new), Claims))
        assert isinstance(check(authorizer, old), Refusal)


async def test_keys_are_fetched_again_after_their_life_without_being_missed() -> None:
    issuer = Issuer(key_set(jwk("rsa")), key_set(jwk("P-256")))
    async with fetching(issuer, life_s=0.02, pause_s=0.01) as keys:
        await until(lambda: [key.kid for key in keys.current.keys] == ["P-256"])


async def test_what_was_fetched_stays_when_fetching_fails_and_that_is_told() -> None:
    issuer = Issuer(key_set(jwk("rsa")), AWAY, b"<html>", key_set(jwk("rsa"), jwk("P-256")))
    async with fetching(issuer, life_s=0.01, pause_s=0.01) as keys:
        await until(lambda: bool(keys.current.keys))
        authorizer = Authorizer(secret=SECRET, keys=keys)
        while len(issuer.reports) < 3:
            assert isinstance(check(authorizer, signed("rsa", "RS256")), Claims)
            await asyncio.sleep(0.001)
        await until(lambda: len(keys.current.keys) == 2)

    assert (issuer.reports[0], issuer.reports[1]) == ("", "nobody there")
    assert "cannot be used" in issuer.reports[2]
    assert issuer.reports[3] == ""


async def test_a_first_fetch_that_fails_is_tried_again_after_the_pause() -> None:
    issuer = Issuer(AWAY, AWAY, key_set(jwk("rsa")))
    async with fetching(issuer, life_s=3600.0, pause_s=0.01) as keys:
        await until(lambda: bool(keys.current.keys))

    assert issuer.reports == ["nobody there", "nobody there", ""]


async def test_a_token_without_a_name_or_of_the_secret_misses_nothing() -> None:
    issuer = Issuer(key_set(jwk("rsa")))
    async with fetching(issuer, pause_s=0.01) as keys:
        await until(lambda: bool(keys.current.keys))
        authorizer = Authorizer(secret=SECRET, keys=keys)
        nameless: tuple[dict[str, object], ...] = (
            {"alg": "HS256", "kid": "x"},
            {"alg": "none", "kid": "x"},
            {"alg": "ES256"},
        )
        for header in nameless:
            assert isinstance(check(authorizer, f"{part(header)}.{part({})}.AA"), Refusal)

        assert not keys._is_missed.is_set()
        assert isinstance(check(authorizer, f"{part({'alg': 'ES256', 'kid': 'x'})}.{part({})}.AA"), Refusal)
        assert keys._is_missed.is_set()
