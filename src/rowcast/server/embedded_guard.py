"""The guard of an embedded server: a small process that stops it when everybody who needs it has gone.

It reads a named pipe. Whoever needs the server holds the pipe open for writing; when the last one is gone, by exit,
crash or kill -9, the kernel ends the guard's read, and the guard stops the server. `prctl(PR_SET_PDEATHSIG)` would need
no process, but works on Linux only, follows the thread that started the server instead of the process, and has to run
between fork and exec, which is unsafe beside other threads.
"""

import os
import subprocess
from pathlib import Path

# $1 pid of the server, $2 its pid file, $3 a folder to remove afterwards or nothing.
# The server removes its pid file when it ends, also where nobody reaps it. While there is one, it must still name the
# pid: after a crash that may be another program's.
_SCRIPT = """
is_ours() { kill -0 "$1" 2>/dev/null && { [ ! -e "$2" ] || [ "$(head -n 1 "$2")" = "$1" ]; }; }
read -r _
is_ours "$@" && kill -INT "$1"
for second in 1 2 3 4 5 6 7 8 9 10; do
    [ -e "$2" ] && is_ours "$@" || break
    sleep 1
done
[ -e "$2" ] && is_ours "$@" && kill -QUIT "$1"
[ -z "$3" ] || rm -rf "$3"
"""
_PIPE = "alive"


def make_pipe(folder: Path) -> int:
    """Make the pipe of `folder` anew and hold it open; gives the file descriptor to close when it is not needed."""
    path = folder / _PIPE
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.open(path, os.O_WRONLY)
    finally:
        os.close(reader)


def hold_pipe(folder: Path) -> int | None:
    """Hold the pipe of a server that another process started; None where nobody guards one there any more."""
    try:
        return os.open(folder / _PIPE, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def start_guard(folder: Path, pid: int, *, pid_file: Path, remove: Path | None) -> subprocess.Popen[bytes]:
    """Start the guard of the server `pid`; `remove` names a folder that goes away with the server."""
    reader = os.open(folder / _PIPE, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "rowcast-guard", str(pid), str(pid_file), str(remove or "")],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(reader)
