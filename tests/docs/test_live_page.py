"""The live page of `rowcast dev`, in a real browser: what it shows, that it can be read, and that it asks nobody else."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.acceptance.conftest import Development, start_development, stop_development

from .browser import Page, opened_page, require_chromium

ROWS = "document.querySelectorAll('#events li:not(.empty)').length"
STATE = "document.getElementById('connection').textContent"
FIRST = "#events li:first-child summary"


@pytest.fixture
def page(quiet_server: Development, tmp_path: Path) -> Iterator[Page]:
    """The live page, joined."""
    with opened_page(tmp_path / "profile") as opened:
        opened.resize(1280, 800)
        opened.open(quiet_server.instance["live_url"])
        opened.wait_for(f"{STATE} === 'live'")
        yield opened


def change(server: Development, status: str, *, order: int = 1) -> None:
    """Change an order's status, as any application would."""
    with psycopg.connect(server.instance["database_url"]) as connection:
        connection.execute("update orders set status = %s where id = %s", (status, order))


def height_of(page: Page, selector: str) -> float:
    """Give how far below the window's upper edge an element begins."""
    return float(page.value(f"document.querySelector({selector!r}).getBoundingClientRect().top"))


def test_a_changed_row_appears_on_the_page_as_event_as_webhook_and_as_job(
    quiet_server: Development, page: Page
) -> None:
    change(quiet_server, "on its way")

    page.wait_for("document.getElementById('events').innerText.includes('→ on its way')")
    page.wait_for("document.getElementById('webhooks').innerText.includes('verified')")
    page.wait_for("document.getElementById('jobs').innerText.includes('shop.write_receipt')")


def test_the_page_is_silent_in_the_console_and_asks_nothing_of_another_host(
    quiet_server: Development, page: Page
) -> None:
    change(quiet_server, "heard")
    page.wait_for(f"{ROWS} > 0")

    urls = [asked["request"]["url"] for asked in page.told("Network.requestWillBeSent")]
    urls += [made["url"] for made in page.told("Network.webSocketCreated")]

    assert {urlsplit(url).hostname for url in urls if not url.startswith("data:")} == {"127.0.0.1"}
    assert any(url.startswith("ws://") for url in urls)
    assert page.told("Log.entryAdded") == []
    assert page.told("Runtime.consoleAPICalled") == []
    assert page.told("Runtime.exceptionThrown") == []


def test_a_script_in_a_row_is_shown_as_text(quiet_server: Development, page: Page) -> None:
    change(quiet_server, "<img src=x onerror=alert(1)>")

    page.wait_for("document.getElementById('events').innerText.includes('<img src=x')")
    assert page.value("document.querySelectorAll('img').length") == 0


def test_a_paused_page_says_how_many_are_waiting_and_shows_them_afterwards(
    quiet_server: Development, page: Page
) -> None:
    page.value("document.getElementById('pause').focus()")
    page.press("Enter")
    change(quiet_server, "while paused")

    page.wait_for("document.getElementById('pause').textContent === 'Resume (1 new)'")
    assert page.value(ROWS) == 0

    page.press("Enter")
    page.wait_for("document.getElementById('events').innerText.includes('while paused')")


def test_an_opened_row_stays_open_and_in_its_place_while_others_come_in(quiet_server: Development, page: Page) -> None:
    change(quiet_server, "to be read")
    page.wait_for(f"{ROWS} === 1")
    page.value(f"document.querySelector('{FIRST}').focus()")
    page.press("Enter")
    page.wait_for("document.querySelector('#events pre')?.textContent.includes('to be read')")
    top = height_of(page, "#events details[open]")

    for number in range(3):
        change(quiet_server, f"later {number}")
    page.wait_for(f"{ROWS} === 4")

    assert height_of(page, "#events details[open]") == pytest.approx(top, abs=1)
    page.value("document.getElementById('events-newest').click()")
    page.wait_for(
        "document.getElementById('events').scrollTop === 0 && !document.querySelector('#events details[open]')"
    )


def test_an_opened_webhook_stays_open_while_others_come_in(quiet_server: Development, page: Page) -> None:
    change(quiet_server, "first webhook")
    page.wait_for("document.querySelector('#webhooks summary')?.innerText.includes('first webhook')")
    page.value("document.querySelector('#webhooks details').open = true")

    change(quiet_server, "second webhook")

    page.wait_for("document.querySelector('#webhooks summary').innerText.includes('second webhook')")
    assert "first webhook" in page.value("document.querySelector('#webhooks details[open]').innerText")


def test_the_page_does_not_jump_when_rows_come_in(quiet_server: Development, page: Page) -> None:
    before = page.value("document.documentElement.scrollHeight")

    for number in range(12):
        change(quiet_server, f"step {number}")
    page.wait_for(f"{ROWS} >= 12")

    assert page.value("document.documentElement.scrollHeight") == before


def test_a_phone_sees_everything_without_scrolling_sideways(quiet_server: Development, page: Page) -> None:
    page.resize(390, 844)
    change(quiet_server, "x" * 400)
    page.wait_for(f"{ROWS} > 0")
    page.value("document.querySelector('#events details').open = true")

    assert page.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.value("[...document.querySelectorAll('.list')].every((list) => list.scrollWidth <= list.clientWidth)")


def test_another_topic_of_the_tenant_can_be_asked_for_in_the_address(quiet_server: Development, page: Page) -> None:
    page.call("Page.navigate", url=quiet_server.instance["live_url"] + "?topic=tickets:red")

    page.wait_for(
        f"{STATE} === 'live' && document.getElementById('connection').title.includes('tickets:red: subscribed')"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_told_from_their_ground_in_both_schemes(page: Page, scheme: str) -> None:
    page.prefer(scheme)

    worst = page.value(
        """(() => {
          const numbers = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((each) => each / 255);
          const light = (text) => numbers(text)
            .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
            .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
          const probe = document.body.appendChild(document.createElement("i"));
          const seen = (name) => { probe.style.color = `var(--${name})`; return light(getComputedStyle(probe).color); };
          const ratios = [];
          for (const ink of ["ink", "faint", "good", "bad", "accent"])
            for (const ground of ["ground", "card"]) {
              const [low, high] = [seen(ink), seen(ground)].sort((one, other) => one - other);
              ratios.push((high + 0.05) / (low + 0.05));
            }
          return Math.min(...ratios);
        })()"""
    )

    assert worst >= 4.5


def test_the_page_finds_a_server_that_was_restarted(tmp_path: Path) -> None:
    require_chromium()
    server = start_development(tmp_path / "data", "--no-traffic")
    port = str(urlsplit(server.instance["api_url"]).port)
    with opened_page(tmp_path / "profile") as page:
        page.open(server.instance["live_url"])
        page.wait_for(f"{STATE} === 'live'")

        stop_development(server)
        page.wait_for(f"{STATE} === 'not connected, trying again'")
        server = start_development(tmp_path / "data", "--no-traffic", "--port", port)

        page.wait_for(f"{STATE} === 'live'", seconds=40)
        change(server, "after the restart")
        page.wait_for("document.getElementById('events').innerText.includes('after the restart')")
    stop_development(server)
