"""Commands about one webhook in hand: does it verify, and which headers would it need."""

import uuid
from datetime import datetime
from typing import Annotated

import typer

from rowcast.core.clock import SystemClock
from rowcast.core.errors import InvalidSignatureError
from rowcast.server.command import Json, asked, parsed_time, placed, read_argument, run
from rowcast.server.output import print_json
from rowcast.webhooks.ids import message_id
from rowcast.webhooks.near_miss import near_miss
from rowcast.webhooks.signature import signed_headers, verify

Body = Annotated[str, typer.Argument(help="the body: its text, @file, or - for standard input")]
Secrets = Annotated[list[str], typer.Option("--secret", help="whsec_..., whpk_... or whsk_..., or @file")]
At = Annotated[str, typer.Option(help="as of this time, ISO 8601 or seconds since 1970; none means now")]
Headers = Annotated[list[str], typer.Option("--header", help="'name: value', or @file with one on each line")]

webhooks = typer.Typer(help="Verify or sign a webhook by hand.", no_args_is_help=True)


@webhooks.command("verify")
@placed
def verify_body(
    context: typer.Context, body: Body, secrets: Secrets, headers: Headers, at: At = "", is_json: Json = False
) -> None:
    """Tell whether a body verifies with its headers, and where it does not, why not."""
    place = asked(context, is_json)
    content, keys, now = _read(body), _secrets(secrets), _moment(at)
    given = dict(pair for text in headers for pair in _header_lines(text))

    async def command() -> str:
        try:
            return verify(keys, given, content, now=now)
        except InvalidSignatureError as error:
            reason = near_miss(keys, given, content, now=now)
            raise InvalidSignatureError(f"{error} {reason}".rstrip()) from None

    message = run(place, command)
    print_json({"verified": message}) if is_json else print(f"verified: {message}")


@webhooks.command("sign")
@placed
def sign_body(
    context: typer.Context,
    body: Body,
    secrets: Secrets,
    name: Annotated[str, typer.Option("--id", help="the message's id; none means a new one")] = "",
    at: At = "",
    is_json: Json = False,
) -> None:
    """Print the headers that a body needs, one on each line."""
    place = asked(context, is_json)
    content, keys, now = _read(body), _secrets(secrets), _moment(at)

    async def command() -> dict[str, str]:
        chosen = name or message_id(uuid.uuid4())
        made = signed_headers(keys, message_id=chosen, timestamp_s=int(now.timestamp()), body=content)
        return {header: value for header, value in made.items() if header.startswith("webhook-")}

    made = run(place, command)
    print_json(made) if is_json else print("\n".join(f"{header}: {value}" for header, value in made.items()))


def _read(text: str) -> bytes:
    try:
        return read_argument(text)
    except OSError as error:
        raise typer.BadParameter(f"cannot be read: {error}") from error


def _lines(text: str) -> list[str]:
    return [line.strip() for line in _read(text).decode("utf-8", "replace").splitlines() if line.strip()]


def _secrets(given: list[str]) -> list[str]:
    return [line for text in given for line in _lines(text)]


def _header_lines(text: str) -> list[tuple[str, str]]:
    """Give names and values; the request line of a saved request is passed over."""
    lines = [line.partition(":") for line in _lines(text) if ":" in line]
    return [(name.strip().lower(), value.strip()) for name, _, value in lines]


def _moment(text: str) -> datetime:
    return parsed_time(text) if text else SystemClock().now()
