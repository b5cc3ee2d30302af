"""Sources: whose webhooks come in where, verified how, with which secrets. Pure."""

import base64
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import InvalidInputError, LimitExceededError
from rowcast.webhooks.asymmetric import is_asymmetric, is_signed_by
from rowcast.webhooks.incoming import SourceOptions
from rowcast.webhooks.incoming_schemes import SCHEMES, Scheme
from rowcast.webhooks.signature import new_secret, secret_key

SECRETS_LIMIT = 10
GRACE_S = 86_400.0
GRACE_MOST_S = 604_800.0
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
_SECRET = re.compile(r"[ -~]{8,512}\Z")
_TEXT_LIMIT = 200
_NEW_SECRET_BYTES = 32
# Whoever sends in these schemes takes the secret that we make; with all others the sender makes it.
_OURS = frozenset({"bearer", "hmac", "standard"})


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One source, without its secrets; `active_secrets` says how many there are."""

    id: str
    tenant_id: str
    name: str
    scheme: str
    options: SourceOptions
    is_disabled: bool
    active_secrets: int
    created_at: datetime
    changed_at: datetime


class SourceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant says of a new source. Without `secrets` one is made, where the sender takes what we make."""

    name: str
    scheme: str
    secrets: tuple[str, ...] = ()
    options: SourceOptions = SourceOptions()


class SourceSecret(msgspec.Struct, frozen=True):
    """A secret, and when it ends. Its text form hides it."""

    text: str
    ends_at: datetime | None = None

    def __repr__(self) -> str:
        """Give when it ends."""
        return f"SourceSecret(ends_at={self.ends_at})"


def options_of(value: Any) -> SourceOptions:
    """Give options from their JSON value.

    Raises:
        InvalidInputError: `input.source`.
    """
    try:
        return msgspec.convert(value, SourceOptions)
    except msgspec.ValidationError as error:
        raise _misfit(f"The options do not fit: {str(error).rstrip('.')}") from error


def checked_draft(draft: SourceDraft) -> SourceDraft:
    """Give the draft back if a source can be made of it.

    Raises:
        InvalidInputError: `input.source` or `input.secret`.
    """
    if not _NAME.match(draft.name):
        raise _misfit("A source's name is a lower-case word of at most 40 letters, digits and '_', such as 'stripe'")
    scheme = SCHEMES.get(draft.scheme)
    if scheme is None:
        raise _misfit(f"The scheme {draft.scheme[:40]!r} is none. Choose from: {', '.join(SCHEMES)}")
    if len(draft.secrets) > SECRETS_LIMIT:
        raise _misfit(f"A source has at most {SECRETS_LIMIT} secrets")
    for secret in draft.secrets:
        checked_source_secret(draft.scheme, secret)
    checked_options(scheme, draft.options)
    return draft


def checked_options(scheme: Scheme, options: SourceOptions) -> SourceOptions:
    """Give the options back if this scheme knows them and has what it needs.

    Raises:
        InvalidInputError: `input.source`.
    """
    plain, given = msgspec.structs.asdict(SourceOptions()), msgspec.structs.asdict(options)
    said = {name for name, value in given.items() if value != plain[name]}
    if unknown := sorted(said - scheme.known_options):
        raise _misfit(f"This scheme has no use for the options {', '.join(map(_camel, unknown))}. Leave them out")
    if absent := sorted(scheme.needed - said):
        raise _misfit(f"This scheme needs what `options` do not give: {', '.join(map(_camel, absent))}")
    texts = [text for value in given.values() for text in ((value,) if isinstance(value, str) else value)]
    if len(options.kept_headers) > SECRETS_LIMIT or not all(_is_plain(text) for text in texts):
        raise _misfit(f"An option is at most {_TEXT_LIMIT} characters of ASCII, and at most 10 headers are kept")
    if options.content and not all(piece in options.content for piece in _signed_pieces(options)):
        raise _misfit("The option content holds {body}, and with a timestampHeader {timestamp}: both must be signed")
    if options.public_url and not _is_url(options.public_url):
        raise _misfit("The option publicUrl is where the sender finds this server, such as https://hooks.example.com")
    return options


def checked_source_secret(scheme: str, secret: str) -> str:
    """Give a secret back if this scheme can verify with it.

    Raises:
        InvalidInputError: `input.secret`; the text never holds the secret.
    """
    if scheme == "standard":
        # A public key is good when it can be asked at all.
        is_signed_by(secret, b"", b"") if is_asymmetric(secret) else secret_key(secret)
    elif not _SECRET.match(secret):
        raise InvalidInputError(
            "A source's secret is 8 to 512 printable characters, as the sender shows it. Copy it again.",
            code="input.secret",
        )
    return secret


def made_secret(scheme: str, noise: Callable[[int], bytes]) -> str:
    """Give a new secret for a sender that takes ours.

    Raises:
        InvalidInputError: `input.secret`, for a sender that makes its own.
    """
    if scheme not in _OURS:
        raise InvalidInputError(
            f"The secret of a {scheme} source is made by the sender. Copy it from there and pass it.",
            code="input.secret",
        )
    if scheme == "standard":
        return new_secret(noise)
    return base64.urlsafe_b64encode(noise(_NEW_SECRET_BYTES)).rstrip(b"=").decode()


def active_at(secrets: Sequence[SourceSecret], now: datetime) -> tuple[SourceSecret, ...]:
    """Give the secrets that have not ended, the newest first."""
    return tuple(secret for secret in secrets if secret.ends_at is None or secret.ends_at > now)


def rotated(
    secrets: Sequence[SourceSecret], text: str, *, now: datetime, grace_s: float = GRACE_S
) -> tuple[SourceSecret, ...]:
    """Give the secrets with a new first one; those before it end after the grace, if not before.

    Raises:
        InvalidInputError: `input.grace`.
        LimitExceededError: `limit.secrets`.
    """
    if not 0 <= grace_s <= GRACE_MOST_S:
        raise InvalidInputError(f"The grace of a rotation is 0 to {GRACE_MOST_S:.0f} s.", code="input.grace")
    end = now + timedelta(seconds=grace_s)
    old = [SourceSecret(each.text, min(each.ends_at or end, end)) for each in active_at(secrets, now)]
    kept = active_at([each for each in old if each.text != text], now)
    if len(kept) >= SECRETS_LIMIT:
        first_end = min(each.ends_at for each in kept if each.ends_at is not None)
        raise LimitExceededError(
            f"{SECRETS_LIMIT} secrets of this source are still valid. Wait until the first of them ends, or rotate "
            "without grace.",
            retry_after_s=(first_end - now).total_seconds(),
            code="limit.secrets",
        )
    return (SourceSecret(text), *kept)


def written_secrets(secrets: Sequence[SourceSecret]) -> bytes:
    """Give secrets as the JSON that is sealed."""
    return encode_json(list(secrets))


def parsed_secrets(text: bytes) -> tuple[SourceSecret, ...]:
    """Give secrets back from their JSON."""
    return tuple(decode_json(text, list[SourceSecret]))


def _signed_pieces(options: SourceOptions) -> tuple[str, ...]:
    # What is not signed anybody could exchange, and send the rest again.
    return ("{body}", "{timestamp}") if options.timestamp_header else ("{body}",)


def _is_plain(text: str) -> bool:
    return len(text) <= _TEXT_LIMIT and text.isascii() and (text.isprintable() or not text)


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def _misfit(sentence: str) -> InvalidInputError:
    return InvalidInputError(f"{sentence}.", code="input.source")
