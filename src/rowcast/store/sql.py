"""Named SQL: each room keeps a `queries.sql`, cut into blocks by `-- name:` lines; a large one has several files."""

import re
from functools import cache
from importlib import resources

import msgspec

from rowcast.core.errors import UsageError

_FILE = re.compile(r"queries(?:_[a-z]+)*\.sql")
_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
# A string, a quoted name, a comment, a cast: passed over. Then `:word`, a parameter.
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|::|:([a-z_][a-z0-9_]*)")


class Query(msgspec.Struct, frozen=True):
    """One statement in the driver's form (`$1` ...) and the names of its parameters, in order."""

    name: str
    text: str
    parameters: tuple[str, ...]

    def bind(self, **values: object) -> tuple[object, ...]:
        """Give the parameters' values in order.

        Raises:
            UsageError: `usage.query`, when a parameter is missing or a name is unknown.
        """
        bound = tuple([values[name] for name in self.parameters if name in values])
        if not len(bound) == len(values) == len(self.parameters):
            wrong = sorted(values.keys() ^ set(self.parameters))
            raise UsageError(f"Query {self.name} takes {self.parameters}; check {wrong}.", code="usage.query")
        return bound


def parse_query(name: str, text: str) -> Query:
    """Turn `:word` parameters into `$1` ...; the same word keeps the same number."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        word = found.group(1)
        if word is None:
            return found.group(0)
        if word not in names:
            names.append(word)
        return f"${names.index(word) + 1}"

    return Query(name, _TOKEN.sub(number, text).strip().rstrip(";"), tuple(names))


def parse_queries(text: str) -> dict[str, Query]:
    """Give every named block of a `queries.sql`.

    Raises:
        UsageError: `usage.query`, when two blocks have one name.
    """
    pieces = _NAME.split(text)[1:]
    queries: dict[str, Query] = {}
    for name, body in zip(pieces[::2], pieces[1::2], strict=True):
        if name in queries:
            raise UsageError(f"Two queries are named {name}.", code="usage.query")
        queries[name] = parse_query(name, body)
    return queries


@cache
def load_queries(package: str) -> dict[str, Query]:
    """Give the queries of a room, read once: `load_queries("rowcast.delivery")`.

    They lie in its `queries.sql`, and where there are many, by subject in files `queries_*.sql` beside it.
    """
    files = [file for file in resources.files(package).iterdir() if _FILE.fullmatch(file.name)]
    return parse_queries("\n".join(file.read_text("utf-8") for file in files))
