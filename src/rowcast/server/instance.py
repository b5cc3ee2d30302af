"""The instance file: where a running `rowcast dev` is, for scripts and for the other commands."""

import os
import shlex
import tempfile
from pathlib import Path

import msgspec

from rowcast.core.codec import decode_json
from rowcast.core.errors import InvalidInputError, NotFoundError

FILE_NAME = "instance.json"


class Instance(msgspec.Struct, frozen=True):
    """A running development server: its URLs, DSN and keys."""

    pid: int
    api_url: str
    websocket_url: str
    live_url: str
    catcher_url: str
    database_url: str
    anon_key: str
    service_key: str
    user_token: str
    api_key: str
    tenant_id: str
    data_folder: str
    is_sampled: bool = True


def write_instance(folder: Path, instance: Instance) -> None:
    """Write the file whole or not at all, readable by its owner only: it holds keys."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=FILE_NAME)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(instance), indent=2))
    os.replace(name, folder / FILE_NAME)


def remove_instance(folder: Path) -> None:
    """Remove the file, if it is there."""
    (folder / FILE_NAME).unlink(missing_ok=True)


def read_instance(folder: Path) -> Instance:
    """Give what is running.

    Raises:
        NotFoundError: `input.no_instance`, when nothing runs on this folder.
    """
    try:
        instance = decode_json((folder / FILE_NAME).read_bytes(), Instance)
    except (OSError, InvalidInputError) as error:
        raise _none(folder) from error
    if not is_running(instance.pid):
        raise _none(folder)
    return instance


def shell_lines(instance: Instance) -> list[str]:
    """Give assignments that a shell can read in: `eval "$(rowcast status --env)"`."""
    names = {
        "ROWCAST_API_URL": instance.api_url,
        "ROWCAST_WEBSOCKET_URL": instance.websocket_url,
        "ROWCAST_ANON_KEY": instance.anon_key,
        "ROWCAST_SERVICE_KEY": instance.service_key,
        "ROWCAST_USER_TOKEN": instance.user_token,
        "ROWCAST_API_KEY": instance.api_key,
        "DATABASE_URL": instance.database_url,
    }
    return [f"export {name}={shlex.quote(value)}" for name, value in names.items()]


def is_running(pid: int) -> bool:
    """Tell whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _none(folder: Path) -> NotFoundError:
    return NotFoundError(
        f"No rowcast runs on {folder}. Start one with 'rowcast dev', or name another folder with --data.",
        code="input.no_instance",
    )
