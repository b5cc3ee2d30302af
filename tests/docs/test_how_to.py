"""The how-to pages: their commands exist, their code runs, the metrics they name are told."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer.main

from rowcast.core.event import DECLARED
from rowcast.server.cli import application
from rowcast.server.ports import bind
from tests.contract.nats_server import nats_server

from .page import Block, blocks_of
from .walk import Reader

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted(DOCS.rglob("*.md"))]
WORDS = re.compile(r"(?:^|[`(])rowcast (.+?)(?:`|\)|$)", re.MULTILINE)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody with an empty folder."""
    folder = tmp_path / "production"
    folder.mkdir()
    someone = Reader(folder, port=0)
    yield someone
    someone.leave()


def commands_on(page: Path) -> list[list[str]]:
    """Give the words of each `rowcast ...` that a page's blocks and code spans show, without comments and pipes."""
    text = "\n".join(block.text for block in blocks_of(page) if block.language == "sh")
    spans = re.findall(r"`(rowcast [a-z-][^`\n]*)`", page.read_text("utf-8"))
    found = WORDS.findall(text) + [span.removeprefix("rowcast ") for span in spans]
    return [shlex.split(re.split(r" (?:#|\||>|&&) ?|[\[\])]", words)[0].strip('"')) for words in found]


def problem(words: list[str]) -> str | None:
    """Give what is wrong with a command: an unknown verb or an unknown flag."""
    command: Any = typer.main.get_command(application)
    flags = {"--help", "--"} | flags_of(command)
    for word in words:
        if word.startswith("--") and word not in flags:
            return f"no flag {word!r}"
        if hasattr(command, "commands") and not word.startswith("-"):
            if word not in command.commands:
                return f"no verb {word!r}"
            command = command.commands[word]
            flags |= flags_of(command)
    return None


def whole_commands_on(page: Path) -> list[list[str]]:
    """Give the words of each line of a page's blocks that begins with `rowcast` and asks no other program for a word."""
    text = "\n".join(block.text.replace("\\\n", " ") for block in blocks_of(page) if block.language == "sh")
    lines = [line for line in re.findall(r"^rowcast (.+)$", text, re.MULTILINE) if "$(" not in line]
    return [shlex.split(re.split(r" (?:#|\||>|>>|&&) ?", line)[0]) for line in lines]


def misfit(words: list[str]) -> str | None:
    """Give what a whole command has too much, or does not say."""
    command: Any = typer.main.get_command(application)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    given, rest, _ = command.make_parser(command.context_class(command)).parse_args(list(words))
    absent = [each.name for each in command.params if each.required and given.get(each.name) is None]
    return f"too much: {rest}, not said: {absent}" if rest or absent else None


def flags_of(command: Any) -> set[str]:
    """Give the flags that a command takes."""
    return {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_exists_with_its_flags(page: Path) -> None:
    assert [(words, wrong) for words in commands_on(page) if (wrong := problem(words))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_a_block_says_what_its_verb_must_be_told_and_nothing_else(page: Path) -> None:
    assert [(words, wrong) for words in whole_commands_on(page) if (wrong := misfit(words))] == []


def test_what_a_command_lacks_or_has_too_much_would_be_noticed() -> None:
    assert misfit(["keys", "create", "me", "--scope", "events:read"]) == "too much: ['me'], not said: ['name']"
    assert misfit(["endpoints", "list"]) == "too much: [], not said: ['tenant']"
    assert misfit(["endpoints", "list", "--tenant", "acme"]) is None


def test_an_unknown_verb_or_flag_would_be_noticed() -> None:
    assert problem(["dead-letter"]) == "no verb 'dead-letter'"
    assert problem(["replay", "--everything"]) == "no flag '--everything'"


def test_the_page_about_production_works_as_it_stands(dsn: str, reader: Reader) -> None:
    reader.export("ROWCAST_DATABASE__URL", dsn)

    for block in blocks_of(DOCS / "how-to" / "run-in-production.md"):
        reader.follow(block)


def test_the_page_about_several_nodes_works_as_it_stands(dsn: str, reader: Reader) -> None:
    reader.export("ROWCAST_DATABASE__URL", dsn)

    with nats_server() as server:
        reader.export("ROWCAST_BUS__URL", server.url)
        for block in blocks_of(DOCS / "how-to" / "run-several-nodes.md"):
            reader.follow(block)


def test_the_page_about_secrets_works_as_it_stands(dsn: str, reader: Reader) -> None:
    reader.export("ROWCAST_DATABASE__URL", dsn)
    reader.follow(Block("sh", "", "rowcast endpoints create --tenant acme --url https://hooks.example.com/", {}, 0))

    for block in blocks_of(DOCS / "how-to" / "rotate-secrets.md"):
        reader.follow(block)


def test_the_page_about_incoming_webhooks_works_as_it_stands(dsn: str, tmp_path: Path) -> None:
    folder = tmp_path / "receiver"
    folder.mkdir()
    with bind("127.0.0.1", 0, is_next_allowed=False) as listener:
        port = listener.getsockname()[1]
    reader = Reader(folder, port=port)
    reader.export("ROWCAST_DATABASE__URL", dsn)
    reader.export("ROWCAST_AUTH__JWT_SECRET", "a secret of these tests, 32 bytes or more")

    try:
        for block in blocks_of(DOCS / "how-to" / "receive-from-stripe-github-slack.md"):
            reader.follow(block)
    finally:
        reader.leave()


def test_the_pack_on_its_page_is_a_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("_by_name", "_by_class", "_upcasters"):
        monkeypatch.setattr(DECLARED, part, {})
    block = next(block for block in blocks_of(DOCS / "how-to" / "write-a-pack.md") if block.language == "python")
    names: dict[str, Any] = {"__name__": "billing"}

    exec(compile(block.text, "billing.py", "exec"), names)

    assert names["pack"].name == "billing"


def test_the_metrics_to_watch_are_told() -> None:
    told = (ROOT / "src" / "rowcast" / "observe" / "metrics.py").read_text("utf-8")
    named = set(re.findall(r"`(rowcast_[a-z_]+)", (DOCS / "how-to" / "monitor.md").read_text("utf-8")))

    assert len(named) == 5
    assert {name for name in named if f'"{name}"' not in told} == set()


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: str(page.name))
def test_every_link_of_a_page_outside_the_site_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8"))

    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_the_page_about_database_webhooks_works_as_it_stands(dsn: str, reader: Reader) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table orders (id bigint primary key, org_id text not null, status text)")
    reader.export("ROWCAST_DATABASE__URL", dsn)

    for block in blocks_of(DOCS / "how-to" / "database-webhooks.md"):
        reader.follow(block)
