"""Event types on the command line."""

import json

import pytest

from rowcast.core.event import Event
from tests.integration.server.conftest import Command


class Printed(Event, type="cliexport.printed"):
    """Something was printed."""

    pages: int


@pytest.fixture
def added(sql: object) -> None:
    assert callable(sql)
    sql(
        """insert into rowcast.event_type (name, schemas) values ('invoice.paid', '{"2": {}, "10": {"type": "object"}}')"""
    )


@pytest.mark.usefixtures("added")
def test_types_are_listed_with_their_versions(command: Command) -> None:
    listed = {each["name"]: each for each in command("event-types", "list", "--json").value["data"]}

    assert (listed["invoice.paid"]["versions"], listed["invoice.paid"]["declared"]) == (["2", "10"], False)
    assert (listed["cliexport.printed"]["versions"], listed["cliexport.printed"]["declared"]) == (["1"], True)


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize("form", ["json-schema", "asyncapi", "openapi"])
def test_types_are_printed_as_one_document(command: Command, form: str) -> None:
    done = command("event-types", "export", "--format", form)

    assert done.code == 0
    assert "invoice.paid" in json.dumps(done.value)
    assert "cliexport.printed" in json.dumps(done.value)


def test_typescript_is_printed_and_no_other_word_is_a_format(command: Command) -> None:
    assert "export type CliexportPrinted" in command("event-types", "export", "--format", "typescript").out
    assert command("event-types", "export", "--format", "yaml").code == 2
