"""The documentation's navigation: whatever pages lie in the folders, in the order in which people need them."""

from pathlib import Path
from typing import Any

ORDER = (
    ("Tutorials", "tutorials"),
    ("How to", "how-to"),
    ("Reference", "reference"),
    ("Explanation", "explanation"),
    ("Decisions", "decisions"),
)


def on_config(config: Any) -> Any:
    """Give MkDocs its navigation; a page's title is its first heading."""
    docs = Path(config["docs_dir"])
    single = [name for name in ("index.md", "journey.md", "guarantees.md") if (docs / name).is_file()]
    config["nav"] = [*single, *({title: pages_in(docs, folder)} for title, folder in ORDER if pages_in(docs, folder))]
    return config


def pages_in(docs: Path, folder: str) -> list[str]:
    """Give a folder's pages, its index first."""
    found = sorted((docs / folder).glob("*.md"), key=lambda page: (page.name != "index.md", page.name))
    return [page.relative_to(docs).as_posix() for page in found]
