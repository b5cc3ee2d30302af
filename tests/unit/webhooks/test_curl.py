import shlex
import subprocess

from hypothesis import given
from hypothesis import strategies as st

from rowcast.webhooks.curl import curl_command

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=50)


def words(command: str) -> list[str]:
    """Give the words as a shell reads them; what continues a line is a word here and none there."""
    return shlex.split(command)


def test_command_posts_the_same() -> None:
    command = curl_command(
        "https://hooks.example.com/a?b=c&d='e'",
        headers={"content-type": "application/json", "authorization": "***", "x-empty": ""},
        body='{"name":"O\'Brien $HOME `id`"}',
    )

    assert [word for word in words(command) if word != "\n"] == [
        *["curl", "--request", "POST", "--globoff", "--path-as-is"],
        *["--header", "content-type: application/json"],
        *["--header", "authorization: <authorization>"],
        *["--header", "x-empty;"],
        *["--data-raw", '{"name":"O\'Brien $HOME `id`"}'],
        *["--url", "https://hooks.example.com/a?b=c&d='e'"],
    ]


@given(url=TEXT, name=TEXT, value=TEXT, body=TEXT)
def test_whatever_stands_in_an_attempt_no_shell_reads_more_than_words_in_it(
    url: str, name: str, value: str, body: str
) -> None:
    read = words(curl_command(url, headers={name: value}, body=body))

    assert len(read) == 11 + 3
    assert (read[10], read[13]) == (body, url)


def test_a_shell_reads_it_as_it_is_meant() -> None:
    command = curl_command("https://x/", headers={"a": "$(id)"}, body="@/etc/passwd\n'\"\\")

    shown = subprocess.run(["sh", "-c", command.replace("curl", "printf '%s|'", 1)], capture_output=True, check=True)

    assert shown.stdout.decode().split("|")[4:-1] == [
        *["--header", "a: $(id)", "--data-raw", "@/etc/passwd\n'\"\\", "--url", "https://x/"]
    ]
