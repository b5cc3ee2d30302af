"""Failpoints: what a setting describes happens at its place, the n-th time, and nowhere else."""

import subprocess
import sys

import pytest

from rowcast.core.errors import ConfigError
from rowcast.core.failpoint import failpoint_from, no_failpoint


@pytest.mark.parametrize("text", [None, ""])
def test_without_a_setting_nothing_is_done(text: str | None) -> None:
    assert failpoint_from(text) is no_failpoint
    no_failpoint("anywhere")


def test_a_place_raises_only_where_it_is_named() -> None:
    failpoint = failpoint_from("before_tell=raise")

    failpoint("after_tell")
    with pytest.raises(RuntimeError, match="failpoint"):
        failpoint("before_tell")


def test_a_place_acts_only_the_time_that_is_named() -> None:
    failpoint = failpoint_from("here=raise:3, there=raise")

    failpoint("here")
    failpoint("here")
    with pytest.raises(RuntimeError, match="failpoint"):
        failpoint("here")
    failpoint("here")


def test_kill_ends_the_process_at_once() -> None:
    script = "from rowcast.core.failpoint import failpoint_from; failpoint_from('here=kill')('here'); print('alive')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=False)

    assert (done.returncode, done.stdout) == (-9, b"")


@pytest.mark.parametrize("text", ["here", "here=explode", "=kill", "here=kill:x", "here=kill,"])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        failpoint_from(text)

    assert refused.value.code == "config.failpoint"
