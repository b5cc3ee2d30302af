"""Names and texts as parts of a SQL script that is generated: quoted so that SQL reads exactly what was meant. Pure."""


def quoted(name: str) -> str:
    """Give an identifier that SQL reads as exactly this name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Give a string constant that SQL reads as exactly this text, whatever `standard_conforming_strings` says."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'" if "\\" in text else f"'{escaped}'"


def message(text: str) -> str:
    """Give a constant format of `raise`, where `%` would stand for a value."""
    return literal(text.replace("%", "%%"))


def one_line(text: str) -> str:
    """Give a text that cannot end a `--` comment."""
    return " ".join(text.split())


def dollar_quoted(body: str) -> str:
    """Give a function's body between dollar quotes that it does not hold itself."""
    number = 0
    while f"$rowcast{number}$" in body:
        number += 1
    return f"$rowcast{number}$\n{body}\n$rowcast{number}$"


def free_name(wanted: str, taken: tuple[str, ...]) -> str:
    """Give a column name that the table does not use."""
    while wanted in taken:
        wanted += "_"
    return wanted


def indented(text: str, columns: int) -> str:
    """Give a text whose further lines begin that much further right."""
    return text.replace("\n", "\n" + " " * columns)
