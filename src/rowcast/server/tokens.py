"""What checks tokens, as the settings say."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rowcast.core.clock import Clock
from rowcast.core.errors import ConfigError, InvalidInputError, VendorError
from rowcast.egress.client import EgressClient, open_client
from rowcast.egress.guard import Policy, check_url
from rowcast.egress.reply import EgressFailure
from rowcast.observe.health import Health
from rowcast.realtime.authorize import Authorizer, Expected
from rowcast.realtime.key_set import FixedKeys, KeySource, read_key_set
from rowcast.realtime.key_source import FetchedKeys
from rowcast.realtime.tenancy import Tenancy
from rowcast.server.policy import egress_policy
from rowcast.server.settings import AuthSettings, Settings

_KEYS = "keys"
_FETCH_S = 10.0
_SCHEMES = ("https://", "http://")


class Tokens(NamedTuple):
    """What checks tokens, and what must run meanwhile."""

    authorizer: Authorizer
    duties: Sequence[Callable[[], Awaitable[None]]] = ()


@asynccontextmanager
async def open_tokens(settings: Settings, *, secret: str, clock: Clock, health: Health) -> AsyncIterator[Tokens]:
    """Give what checks tokens for the time of a block.

    Raises:
        ConfigError: `config.jwt_secret`, `config.jwks`.
    """
    given = settings.auth.jwks.get_secret_value().strip() if settings.auth.jwks is not None else ""
    if not given.lower().startswith(_SCHEMES):
        yield Tokens(make_authorizer(settings.auth, secret=secret, keys=_keys_of(given)))
        return
    policy = key_policy(settings)
    _check(given, policy)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_client(clock=clock, policy=policy))
        keys = FetchedKeys(
            partial(_fetch, client, given),
            life_s=settings.auth.jwks_life_s,
            pause_s=settings.auth.jwks_pause_s,
            report=lambda fault: health.report(_KEYS, "degraded" if fault else "ok", fault),
        )
        yield Tokens(make_authorizer(settings.auth, secret=secret, keys=keys), (keys.run,))


def make_authorizer(asked: AuthSettings, *, secret: str, keys: KeySource | None = None) -> Authorizer:
    """Give what checks tokens signed with `secret`, or by one of `keys`.

    Raises:
        ConfigError: `config.jwt_secret`.
    """
    tenancy = Tenancy(sources=asked.tenant_from, domain=asked.tenant_host)
    expected = Expected(issuer=asked.jwks_issuer, audience=asked.jwks_audience)
    return Authorizer(secret=secret, tenant_claim=asked.tenant_claim, tenancy=tenancy, keys=keys, expected=expected)


def key_policy(settings: Settings) -> Policy:
    """Give where keys may be fetched: encrypted, whatever webhooks may do, save for the places that are exempt."""
    return Policy(allow_http=False, allowed=egress_policy(settings).allowed)


def _keys_of(given: str) -> FixedKeys | None:
    """Give the keys of a document that stands in the setting, or in the file that it names."""
    if not given:
        return None
    if given.startswith("{"):
        return FixedKeys(read_key_set(given.encode(), takes_secrets=True))
    try:
        return FixedKeys(read_key_set(Path(given).read_bytes(), takes_secrets=True))
    except (OSError, ValueError) as error:
        # Without what stands there: where a document was meant, it may be secret.
        raise ConfigError(
            "The setting auth.jwks is no key set, and no URL or file that can be read.", code="config.jwks"
        ) from error


def _check(url: str, policy: Policy) -> None:
    try:
        check_url(url, policy)
    except InvalidInputError as error:
        raise ConfigError(
            f"The keys of auth.jwks cannot be fetched: {error} List a place inside your network in "
            "webhooks.allow_private.",
            code="config.jwks",
        ) from error


async def _fetch(client: EgressClient, url: str) -> bytes:
    answer = await client.get(url, headers={"accept": "application/json"}, timeout_s=_FETCH_S)
    if isinstance(answer, EgressFailure):
        raise VendorError(f"The keys could not be fetched: {answer.kind}.", vendor=_KEYS, is_retryable=True)
    if answer.status != 200:
        said = f"The keys could not be fetched: HTTP {answer.status}."
        raise VendorError(said, vendor=_KEYS, status=answer.status, is_retryable=True)
    return answer.body
