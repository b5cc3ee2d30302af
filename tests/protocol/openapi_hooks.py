"""Loaded by schemathesis: most requests are about things that are there, none removes them, and none reaches out."""

import json
import os
import zlib
from collections import Counter
from typing import Any

import schemathesis

KNOWN: dict[str, list[str]] = json.loads(os.environ["ROWCAST_TESTS_KNOWN"])
RECEIVER = os.environ["ROWCAST_TESTS_RECEIVER"]
CALLERS: list[str] = json.loads(os.environ["ROWCAST_TESTS_CALLERS"])
ASKED: Counter[str] = Counter()


@schemathesis.hook
def before_call(_context: Any, case: Any, _arguments: Any) -> None:
    """Put known names into the path in place of two of three invented ones, and our receiver in place of any other."""
    names = list(case.path_parameters or ())
    for name in names:
        # What is removed is invented: the others go on with what is there.
        is_removed = case.method == "DELETE" and name == names[-1] and not case.path.endswith("/content")
        chosen = zlib.crc32(repr(case.path_parameters[name]).encode())
        if name in KNOWN and not is_removed and chosen % 3:
            case.path_parameters[name] = KNOWN[name][chosen % len(KNOWN[name])]
    case.body = at_home(case.body)
    # One caller after the other asks each route; nobody has no token.
    caller = CALLERS[ASKED[case.operation.label] % len(CALLERS)]
    ASKED[case.operation.label] += 1
    if caller:
        case.headers = {**(case.headers or {}), "Authorization": caller}


def at_home(value: Any) -> Any:
    """Give a body in which every URL is our receiver's: the server would post to whoever is there."""
    if isinstance(value, dict):
        return {name: at_home(each) for name, each in value.items()}
    if isinstance(value, list):
        return [at_home(each) for each in value]
    return RECEIVER if isinstance(value, str) and "//" in value else value
