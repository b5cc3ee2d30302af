"""A page as its reader meets it: blocks of code in their order, each with the marks that stand above it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MARK = re.compile(r"<!-- (.+?) -->\s*\Z")
_FENCE = re.compile(r"```(\w*)(?: title=\"(.+)\")?\s*\Z")


@dataclass(frozen=True)
class Block:
    """One fenced block. `marks` are comments directly above it: `<!-- name: value, name: value -->`."""

    language: str
    title: str
    text: str
    marks: dict[str, str]
    line: int


def blocks_of(page: Path) -> list[Block]:
    """Give the page's blocks."""
    found: list[Block] = []
    marks: dict[str, str] = {}
    lines = iter(enumerate(page.read_text("utf-8").splitlines(), start=1))
    for number, line in lines:
        if mark := _MARK.match(line):
            marks |= dict(_pair(words) for words in mark[1].split(", "))
        elif fence := _FENCE.match(line):
            found.append(Block(fence[1], fence[2] or "", _until_fence(lines), marks, number))
            marks = {}
        elif line.strip():
            marks = {}
    return found


def has_line(pattern: str, output: str) -> bool:
    """Tell whether a printed line is there; `…` in the pattern stands for anything."""
    pieces = [re.escape(piece.strip()) for piece in pattern.split("…")]
    return re.search(".*".join(pieces), output) is not None


def _until_fence(lines: Iterator[tuple[int, str]]) -> str:
    inside = []
    for _, line in lines:
        if line.startswith("```"):
            break
        inside.append(line + "\n")
    return "".join(inside)


def _pair(words: str) -> tuple[str, str]:
    name, _, value = words.partition(": ")
    return name, value
