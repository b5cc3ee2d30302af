"""What strangers send, made up by a fuzzer that watches which code it reaches. `make fuzz` does the same for longer."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from rowcast.realtime.frames import FrameReader, Message, Violation
from rowcast.realtime.messages import Frame
from tests.fuzz import targets
from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent
RUNS = 20_000

each_target = pytest.mark.parametrize("name", TARGETS)


def feed_seeds(name: str) -> None:
    seeds = sorted((HERE / "corpus" / name).iterdir())
    assert seeds
    for seed in seeds:
        TARGETS[name](seed.read_bytes())


@each_target
def test_every_seed_keeps_every_promise(name: str) -> None:
    feed_seeds(name)


@each_target
def test_a_bounded_run_of_the_fuzzer_breaks_no_promise(name: str, tmp_path: Path) -> None:
    if find_spec("atheris") is None:
        pytest.skip("atheris is not here, so NOTHING IS FUZZED: pip install atheris==3.0.0 (Linux on x86_64)")
    words = [sys.executable, "-m", "tests.fuzz", name, str(tmp_path), f"-artifact_prefix={tmp_path}/"]
    # A process of its own: libFuzzer ends the one that it runs in.
    found = subprocess.run(
        [*words, f"-runs={RUNS}", "-seed=1"],
        check=False,
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=110,
    )

    assert found.returncode == 0, found.stderr[-4000:]
    assert f"Done {RUNS} runs" in found.stderr


class Misreading(FrameReader):
    def next(self) -> Message | Violation | None:
        found = super().next()
        return Message(found.opcode, found.payload[1:]) if isinstance(found, Message) else found


@pytest.mark.parametrize(
    ("name", "reader", "wrong"),
    [
        ("frames", "FrameReader", Misreading),
        ("messages", "decode_text", lambda text, version: Frame(None, "1", "t", text.decode())),
        ("filters", "parse_filter", lambda text: (targets.Condition("a", "eq", (text, "more")),)),
        ("topics", "topic_name", lambda tenant_id, module: tenant_id),
        ("webhooks", "event_type", lambda source, called: "other.thing"),
    ],
)
def test_a_reader_that_misreads_breaks_a_promise(
    monkeypatch: pytest.MonkeyPatch, name: str, reader: str, wrong: object
) -> None:
    monkeypatch.setattr(targets, reader, wrong)

    with pytest.raises(AssertionError):
        feed_seeds(name)
