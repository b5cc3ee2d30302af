"""Fuzzes one reader until it is told to stop or something breaks: `python -m tests.fuzz frames -max_total_time=60`.

What follows the name goes to libFuzzer: its flags, and a folder where it keeps what it has found out.
"""

import sys
from pathlib import Path

import atheris

CORPUS = Path(__file__).with_name("corpus")
# Inputs are short, memory is bounded, and one input that takes so long is a fault of its own.
BOUNDS = ("-max_len=4096", "-rss_limit_mb=512", "-timeout=25")

if __name__ == "__main__":
    # Only the readers are instrumented; what lies under them would lead the fuzzer astray.
    with atheris.instrument_imports(include=["rowcast.core", "rowcast.realtime"]):
        from tests.fuzz.targets import TARGETS

    name, *flags = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz {{{','.join(TARGETS)}}} [folder] [-flag=value ...]")
    # The first folder is written to, so the committed seeds come last.
    atheris.Setup([name, *BOUNDS, *flags, str(CORPUS / name)], TARGETS[name])
    atheris.Fuzz()
