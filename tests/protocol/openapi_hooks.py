"""Loaded by schemathesis: most requests are about things that are there, and none removes them."""

import json
import os
import zlib
from typing import Any

import schemathesis

KNOWN: dict[str, list[str]] = json.loads(os.environ["ROWCAST_TESTS_KNOWN"])


@schemathesis.hook
def before_call(_context: Any, case: Any, _arguments: Any) -> None:
    """Put known names into the path in place of two of three invented ones."""
    names = list(case.path_parameters or ())
    for name in names:
        # What is removed, and a consumer that seeks, are invented: the others go on with what is there.
        is_removed = case.method == "DELETE" and name == names[-1] and not case.path.endswith("/content")
        chosen = zlib.crc32(repr(case.path_parameters[name]).encode())
        if name in KNOWN and not is_removed and chosen % 3:
            case.path_parameters[name] = KNOWN[name][chosen % len(KNOWN[name])]
