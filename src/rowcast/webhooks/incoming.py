"""What comes in from a sender, and what a source makes of it: values only. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from rowcast.core.errors import InvalidInputError

RefusalCode = Literal["auth.missing", "auth.signature", "auth.timestamp"]


class IncomingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came in: nothing was parsed, header names are in lower case."""

    body: bytes
    headers: Mapping[str, bytes]
    path: str = ""
    query: bytes = b""

    def header(self, name: str) -> bytes:
        """Give the bytes of a header; empty where it was not sent."""
        return self.headers.get(name.lower(), b"")

    def header_text(self, name: str) -> str:
        """Give a header as text in which every byte is a character."""
        return self.header(name).decode("latin-1").strip()

    @property
    def media_type(self) -> str:
        """Give what the body says it is, such as `application/json`."""
        return self.header_text("content-type").partition(";")[0].strip().lower()


class SourceOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How one source differs from its scheme. Most of it is for `hmac`; docs/reference/http.md lists it."""

    header: str = ""
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    timestamp_header: str = ""
    content: str = ""
    id_header: str = ""
    id_field: str = ""
    type_header: str = ""
    type_field: str = ""
    event_type: str = ""
    public_url: str = ""
    url_secret: str = ""
    kept_headers: tuple[str, ...] = ()
    once_by: Literal["id", "body"] = "id"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request and what it is held against. Its text form hides the secrets."""

    request: IncomingRequest
    secrets: tuple[str, ...]
    options: SourceOptions
    now: datetime

    def __repr__(self) -> str:
        """Give everything but the secrets and the body."""
        return f"Question(secrets={len(self.secrets)}, body_bytes={len(self.request.body)})"


class Read(msgspec.Struct, frozen=True):
    """One thing that a sender tells: its own id of the delivery, what it calls the event, and the JSON object."""

    delivery_id: str
    called: str
    payload: bytes


class Accepted(msgspec.Struct, frozen=True):
    """The request is genuine and tells these things: none, one, or a batch."""

    reads: tuple[Read, ...] = ()


class Challenge(msgspec.Struct, frozen=True):
    """The sender wants to see that we are who it thinks: this text, and nothing is kept."""

    text: str


class Refused(msgspec.Struct, frozen=True):
    """The request is not genuine."""

    code: RefusalCode
    sentence: str


Answer = Accepted | Challenge | Refused


def unreadable(sentence: str) -> InvalidInputError:
    """Give the error of a body that is genuine and can be no event."""
    return InvalidInputError(sentence, code="input.not_json")
