"""Another version of a package beside the one that everybody gets."""

import importlib
import sys
from pathlib import Path
from types import ModuleType


def import_apart(package: str, folder: Path, *parts: str) -> ModuleType:
    """Import the `package` that lies in `folder`, with these parts of it, and leave everybody theirs."""
    theirs = _taken_out(package)
    sys.path.insert(0, str(folder))
    try:
        imported = importlib.import_module(package)
        for part in parts:
            importlib.import_module(part)
        return imported
    finally:
        sys.path.remove(str(folder))
        _taken_out(package)
        sys.modules.update(theirs)


def _taken_out(package: str) -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] == package]
    return {name: sys.modules.pop(name) for name in names}
