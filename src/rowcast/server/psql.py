"""How psql is called: the password goes by the environment, where other users of the machine do not see it. Pure."""

from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit


def psql_call(url: str, words: Sequence[str]) -> tuple[list[str], Mapping[str, str]]:
    """Give the arguments and the environment variables for psql on the database `url`."""
    parts = urlsplit(url)
    if parts.password is None:
        return [url, *words], {}
    account, _, address = parts.netloc.rpartition("@")
    public = parts._replace(netloc=f"{account.split(':')[0]}@{address}").geturl()
    return [public, *words], {"PGPASSWORD": unquote(parts.password)}
