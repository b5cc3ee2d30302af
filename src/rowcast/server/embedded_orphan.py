"""A server that outlived the process that started it: found by its pid file, stopped before the next start."""

import os
import signal
import subprocess
from pathlib import Path


def find_orphan(data: Path) -> int | None:
    """Give the pid of the server that runs on `data`; a pid file that names anything else is stale and is removed.

    The pid may be another program's by now, and PostgreSQL itself would then refuse to start; the command line decides.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    if str(data) in _command_line(pid):
        return pid
    pid_file.unlink(missing_ok=True)
    return None


def is_running(pid: int, data: Path) -> bool:
    """Tell whether `pid` is still the server of `data`; a dead one that nobody has reaped is not."""
    return str(data) in _command_line(pid)


def send_signal(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that has just gone is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _command_line(pid: int) -> str:
    proc = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
