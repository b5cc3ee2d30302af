"""Tokens of OAuth 2 client credentials: asked for through the one door, kept until shortly before they end."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlencode

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.telemetry import tell
from rowcast.egress.client import EgressClient
from rowcast.egress.reply import Answer, Reply
from rowcast.egress.terms import NO_TERMS, Terms
from rowcast.webhooks.authentication import OAuth2, basic_value

TOKENS_LIMIT = 4096
"""Tokens that one process remembers; past that the one asked for longest ago is asked for again."""
_TIMEOUT_S = 4.0
_EARLY_S = 30.0
_LONGEST_S = 3600.0
_DEFAULT_LIFE_S = 300.0
_FAILED_S = 5.0
_TOKEN_LIMIT_CHARS = 3500
_OK = 200


class _TokenReply(msgspec.Struct):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a scheme
    expires_in: float | str | None = None


class Token(msgspec.Struct, frozen=True):
    """A token, or the short stable word why there is none."""

    value: str = ""
    problem: str = ""


@dataclass(slots=True)
class _Kept:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    token: Token = field(default_factory=Token)
    until_s: float = 0.0


class TokenSource:
    """Gives tokens. While one is asked for, everybody who wants the same one waits for that answer."""

    __slots__ = ("_client", "_clock", "_kept")

    def __init__(self, *, client: EgressClient, clock: Clock) -> None:
        """Begin with none."""
        self._client = client
        self._clock = clock
        self._kept: dict[tuple[str, OAuth2], _Kept] = {}

    async def token(self, tenant_id: str, asked: OAuth2, *, terms: Terms = NO_TERMS) -> Token:
        """Give the token of these credentials; a failure is remembered for some seconds, so that nobody is flooded."""
        kept = self._remembered(tenant_id, asked)
        async with kept.lock:
            if self._clock.monotonic_s() >= kept.until_s:
                kept.token, life_s = await self._ask(asked, terms)
                kept.until_s = self._clock.monotonic_s() + life_s
        return kept.token

    def forget(self, tenant_id: str, asked: OAuth2, value: str) -> None:
        """Ask anew next time: the receiver did not take this token."""
        kept = self._kept.get((tenant_id, asked))
        if kept is not None and kept.token.value == value:
            kept.until_s = 0.0

    def _remembered(self, tenant_id: str, asked: OAuth2) -> _Kept:
        kept = self._kept.pop((tenant_id, asked), None) or _Kept()
        self._kept[tenant_id, asked] = kept
        if len(self._kept) > TOKENS_LIMIT:
            del self._kept[next(iter(self._kept))]
        return kept

    async def _ask(self, asked: OAuth2, terms: Terms) -> tuple[Token, float]:
        headers, body = _request(asked)
        answer = await self._client.post(asked.token_url, body, headers=headers, timeout_s=_TIMEOUT_S, terms=terms)
        token, life_s = read_token(answer)
        if token.problem:
            tell("webhook.token_failed", reason=token.problem)
        return token, life_s


def read_token(answer: Answer) -> tuple[Token, float]:
    """Give what an answer of a token URL says, and for how many seconds it may be used."""
    if not isinstance(answer, Reply):
        return Token(problem=answer.kind), _FAILED_S
    if answer.status != _OK:
        return Token(problem=f"http_{answer.status}"), _FAILED_S
    try:
        said = msgspec.json.decode(answer.body, type=_TokenReply)
        life_s = float(said.expires_in) if said.expires_in is not None else _DEFAULT_LIFE_S
    except (msgspec.MsgspecError, ValueError, UnicodeError):
        return Token(problem="no_token"), _FAILED_S
    if said.token_type.lower() != "bearer" or not _is_bearer(said.access_token):
        return Token(problem="no_token"), _FAILED_S
    # `not >` is true for what is no number as well.
    return Token(said.access_token), _FAILED_S if not life_s > _EARLY_S + _FAILED_S else min(
        life_s - _EARLY_S, _LONGEST_S
    )


def _is_bearer(text: str) -> bool:
    return 0 < len(text) <= _TOKEN_LIMIT_CHARS and text.isascii() and text.isprintable() and " " not in text


def _request(asked: OAuth2) -> tuple[dict[str, str], bytes]:
    """Give headers and body: the secret in the header, as the standard prefers, or in the body where that is asked."""
    fields = {"grant_type": "client_credentials"}
    if asked.scopes:
        fields["scope"] = " ".join(asked.scopes)
    if asked.audience:
        fields["audience"] = asked.audience
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    if asked.is_secret_in_body:
        fields |= {"client_id": asked.client_id, "client_secret": asked.client_secret}
    else:
        # Each is form-encoded before they are joined (RFC 6749, 2.3.1).
        client_id, secret = (urlencode({"": word})[1:] for word in (asked.client_id, asked.client_secret))
        headers["authorization"] = basic_value(client_id, secret)
    return headers, urlencode(fields).encode()
