"""The folder of the embedded database: who may use it, its password, its cluster, its socket.

lock         held (flock) for the life of the process that uses the folder; names its pid
password     of the role `postgres`, mode 0600
data/        the cluster, owned by the account that runs the server
postgres.log mode 0600
"""

import fcntl
import os
import secrets
import shutil
import tempfile
from pathlib import Path

import msgspec

from rowcast.core.errors import ConfigError
from rowcast.server.embedded_programs import Account, Programs, can_enter_anywhere

# sun_path has 104 bytes on macOS and 108 on Linux; PostgreSQL adds its own name to the folder.
_SOCKET_PATH_BYTES = 100
_SOCKET_NAME = ".s.PGSQL.65535.lock"
_LOG_LIMIT_BYTES = 8 * 1024 * 1024


class DataFolder(msgspec.Struct, frozen=True):
    """Where everything of one embedded database lies."""

    path: Path

    @property
    def data(self) -> Path:
        """Give the cluster's folder."""
        return self.path / "data"

    @property
    def log(self) -> Path:
        """Give the server's log file."""
        return self.path / "postgres.log"

    @property
    def password(self) -> str:
        """Give the password of the role `postgres`."""
        return (self.path / "password").read_text("ascii").strip()


def lock_folder(path: Path) -> int:
    """Make the folder where it is missing and take it for this process; gives the lock's file descriptor.

    The kernel frees the lock when the process ends, however it ends.

    Raises:
        ConfigError: `config.data_locked` where another process uses the folder, `config.data_folder` where it cannot
            be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(
            f"The data folder {path} cannot be used ({error.strerror}). "
            "Set database.folder to a folder this user may write.",
            code="config.data_folder",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise ConfigError(
            f"The data folder {path} is in use by process {holder}. Stop that process, or choose another folder.",
            code="config.data_locked",
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def prepare_folder(folder: DataFolder, programs: Programs) -> Programs:
    """Make the cluster where there is none yet, check the one there is, and give the programs as they can reach it.

    Raises:
        ConfigError: `config.data_folder`, `config.data_password`, `config.data_version` or `config.embedded`.
    """
    programs = _that_reach(folder, programs)
    if folder.data.exists():
        _check_cluster(folder, programs)
    else:
        _make_cluster(folder, programs)
    if folder.log.exists() and folder.log.stat().st_size > _LOG_LIMIT_BYTES:
        folder.log.replace(folder.log.with_suffix(".log.1"))
    # It quotes statements that failed, and what stands in them is somebody's.
    folder.log.touch(mode=0o600)
    folder.log.chmod(0o600)
    return programs


def _that_reach(folder: DataFolder, programs: Programs) -> Programs:
    """Lend root's right to enter folders only where the account needs it."""
    if programs.account is None:
        return programs
    folder.path.chmod(0o711)
    lent = msgspec.structs.replace(programs, enters_anywhere=True)
    for chosen in (programs, lent) if can_enter_anywhere() else (programs,):
        words = ["/bin/sh", "-c", 'cd "$1" && test -x "$2"', "sh", str(folder.path), str(programs.path("postgres"))]
        if chosen.run(words).is_good:
            return chosen
    raise ConfigError(
        f"The server runs as user {programs.account.name}, who cannot enter {folder.path} or run {programs.folder}. "
        "Keep both under folders that everybody may enter (chmod o+x), or run rowcast as an ordinary user.",
        code="config.data_folder",
    )


def _check_cluster(folder: DataFolder, programs: Programs) -> None:
    if not (folder.path / "password").exists():
        raise ConfigError(
            f"The file {folder.path / 'password'} is missing, so nobody can log in. "
            "Restore it, or remove the folder to start anew.",
            code="config.data_password",
        )
    made_by, have = (folder.data / "PG_VERSION").read_text().strip(), str(programs.major_version())
    if made_by != have:
        raise ConfigError(
            f"The data in {folder.path} are of PostgreSQL {made_by} and this is {have}. "
            "Dump them with the older version and load them here, or choose another folder.",
            code="config.data_version",
        )


def _make_cluster(folder: DataFolder, programs: Programs) -> None:
    """Make it beside its place and rename it when it is whole: a kill in the middle leaves nothing half made."""
    password = secrets.token_urlsafe(24)
    _write_private(folder.path / "password", password)
    unfinished, password_copy = folder.path / "data.new", folder.path / "password.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    _write_private(password_copy, password)
    give(unfinished, programs.account)
    give(password_copy, programs.account)
    ended = programs.run(_initdb(programs, unfinished, password_copy))
    password_copy.unlink()
    if not ended.is_good:
        raise ConfigError(f"The database could not be made in {folder.path}: {ended.printed}", code="config.embedded")
    unfinished.rename(folder.data)


def _initdb(programs: Programs, data: Path, password: Path) -> list[str | Path]:
    # PostgreSQL 17 brought a Unicode locale of its own; before it only "C" is on every machine.
    is_unicode = programs.major_version() >= 17
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if is_unicode else []
    words = ["-U", "postgres", "--encoding=UTF8", "--locale=C", *locale, "--auth=scram-sha-256", f"--pwfile={password}"]
    return [programs.path("initdb"), "-D", data, *words]


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")


def give(path: Path, account: Account | None) -> None:
    """Make `account` the owner of `path`; None leaves it ours."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def make_socket_folder(folder: DataFolder, account: Account | None) -> Path:
    """Give a folder for the server's socket whose path is short enough; a deep data folder gets one elsewhere."""
    path = folder.path / "run"
    if len(os.fsencode(path / _SOCKET_NAME)) > _SOCKET_PATH_BYTES:
        path = Path(tempfile.mkdtemp(prefix="rowcast-", dir="/tmp"))
    path.mkdir(mode=0o700, exist_ok=True)
    give(path, account)
    return path
