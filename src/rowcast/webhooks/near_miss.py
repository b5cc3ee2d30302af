"""Why a message does not verify: what would have to be otherwise for it to fit. For people who look for it. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from rowcast.core.errors import AuthenticationError
from rowcast.webhooks.signature import scheme_of, verify

_REWRITTEN = "The body was parsed and written anew on its way: take the bytes as they came in."


def near_miss(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, *, now: datetime) -> str:
    """Give the one thing that is wrong with a message that does not verify, or nothing where it is not known.

    Raises:
        InvalidInputError: `input.secret`.
    """
    for sentence, other in _bodies(body):
        if other != body and _fits(secrets, headers, other, now):
            return sentence
    return _wrong_version(secrets, headers)


def _bodies(body: bytes) -> Iterator[tuple[str, bytes]]:
    yield "A line end was added to the body.", body.rstrip(b"\r\n")
    yield "The line end at the end of the body is missing.", body + b"\n"
    yield "The line ends of the body were changed.", body.replace(b"\r\n", b"\n")
    with suppress(ValueError, RecursionError):
        value = json.loads(body)
        for is_ascii in (False, True):
            for separators in ((",", ":"), (", ", ": ")):
                yield _REWRITTEN, json.dumps(value, separators=separators, ensure_ascii=is_ascii).encode()


def _fits(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    try:
        verify(secrets, headers, body, now=now)
    except AuthenticationError:
        return False
    return True


def _wrong_version(secrets: Sequence[str], headers: Mapping[str, str]) -> str:
    signatures = [value for name, value in headers.items() if name.lower().endswith("-signature")]
    given = {item.partition(",")[0] for value in signatures for item in value.split()}
    asked = {scheme_of(secret) for secret in secrets}
    if not given or given & asked:
        return ""
    return f"The signatures are of version {', '.join(sorted(given))}, the key is for {', '.join(sorted(asked))}."
