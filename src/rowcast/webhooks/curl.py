"""An attempt as a command for a shell: to be copied, looked at, and run by hand. Pure."""

import shlex
from collections.abc import Mapping

from rowcast.webhooks.attempt_detail import HIDDEN


def curl_command(url: str, *, headers: Mapping[str, str], body: str) -> str:
    """Give `curl ...` that posts the same. A header whose value was not kept stands there to be filled in.

    Args:
        url: Where it was posted.
        headers: As they were kept.
        body: The text that was sent.
    Returns:
        Lines that any POSIX shell reads as one command; nothing in them is expanded or run by it.
    """
    lines = ["curl --request POST --globoff --path-as-is"]
    lines += [f"  --header {shlex.quote(_line(name, value))}" for name, value in headers.items()]
    # Raw: otherwise a body that begins with @ would be read from a file of that name.
    lines += [f"  --data-raw {shlex.quote(body)}", f"  --url {shlex.quote(url)}"]
    return " \\\n".join(lines)


def _line(name: str, value: str) -> str:
    # curl leaves a header out when its value is empty, unless the line ends in a semicolon.
    shown = f"<{name}>" if value == HIDDEN else value
    return f"{name}: {shown}" if shown.strip() else f"{name};"
