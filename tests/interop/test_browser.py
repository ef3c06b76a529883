"""The demo's page in Chromium, driven by Playwright."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.interop.serving import serve

playwright = pytest.importorskip("playwright.sync_api", reason="the test needs Playwright: pip install -e .[test]")
expect = playwright.expect

DEMO = "greenws.demo.app:create_app"
FLAGS = [
    "--no-sandbox",  # which does not work for root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",  # it talks with our server and with nobody else
    "--disable-component-update",
    "--disable-sync",
]
RECONNECT = 15_000  # milliseconds; the page waits a random time, longer after each attempt

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[object]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def demo() -> Iterator[SimpleNamespace]:
    with serve(DEMO) as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


@pytest.fixture
def context(browser: object) -> Iterator[object]:
    with browser.new_context(viewport={"width": 900, "height": 640}) as context:
        context.set_default_timeout(5000)
        yield context


@pytest.fixture
def problems(context: object) -> list[str]:
    """What the console of any tab complains about, such as what its security policy blocks."""
    found: list[str] = []
    context.on("console", lambda message: found.append(message.text) if message.type in ("error", "warning") else None)
    context.on("weberror", lambda error: found.append(str(error.error)))
    return found


def open_tab(context: object, port: int, room: str, name: str) -> object:
    tab = context.new_page()
    tab.goto(f"http://127.0.0.1:{port}/{room}")
    expect(tab.get_by_role("status")).to_have_text("Connected")
    tab.get_by_label("You are").fill(name)
    return tab


def say(tab: object, text: str) -> None:
    tab.get_by_label("Message", exact=True).fill(text)
    tab.get_by_label("Message", exact=True).press("Enter")


def test_two_tabs_chat(context: object, demo: SimpleNamespace, problems: list[str], tmp_path: Path) -> None:
    ada, ben = (open_tab(context, demo.port, "tea", name) for name in ("Ada", "Ben"))
    say(ada, "Is the kettle on? <b>☕</b>")
    last = ben.get_by_role("log").locator(".message").last
    expect(last).to_contain_text("Ada")
    expect(last.locator("p.text")).to_have_text("Is the kettle on? <b>☕</b>")
    say(ben, "Two minutes.")
    expect(ada.get_by_role("log").locator(".message").last).to_contain_text("Two minutes.")
    expect(ada.get_by_role("log").locator(".message.mine p.text")).to_have_text(["Is the kettle on? <b>☕</b>"])
    ben.get_by_label("Message", exact=True).press_sequentially("And bisc")
    expect(ada.locator("#hint")).to_have_text("Ben is typing")
    ada.screenshot(path=tmp_path / "chat.png", animations="disabled")
    assert not problems


def test_counts_who_is_there(context: object, demo: SimpleNamespace, problems: list[str]) -> None:
    first = open_tab(context, demo.port, "count", "First")
    expect(first.locator("#count")).to_have_text("only you here")
    second = open_tab(context, demo.port, "count", "Second")
    elsewhere = open_tab(context, demo.port, "elsewhere", "Third")
    for tab, words in ((first, "2 people here"), (second, "2 people here"), (elsewhere, "only you here")):
        expect(tab.locator("#count")).to_have_text(words)
    second.close()
    expect(first.locator("#count")).to_have_text("only you here")
    assert not problems


def test_late_comers_see_what_was_said(context: object, demo: SimpleNamespace) -> None:
    early = open_tab(context, demo.port, "history", "Early")
    for text in ("one", "two", "three"):
        say(early, text)
    late = open_tab(context, demo.port, "history", "Late")
    expect(late.get_by_role("log").locator("p.text")).to_have_text(["one", "two", "three"])


def test_comes_back_when_the_server_does(context: object, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with serve(DEMO) as server:
            tabs = [open_tab(context, server.port, "again", name) for name in ("Ada", "Ben")]
        for tab in tabs:
            expect(tab.get_by_role("status")).to_have_text("Reconnecting…")
        say(tabs[0], "still there?")
        expect(tabs[0].get_by_role("alert")).to_have_text(re.compile("Not connected"))
        tabs[0].screenshot(path=tmp_path / "reconnecting.png")
        stack.enter_context(serve(DEMO, server.port))
        for tab in tabs:
            expect(tab.get_by_role("status")).to_have_text("Connected", timeout=RECONNECT)
            expect(tab.locator("#count")).to_have_text("2 people here", timeout=RECONNECT)
        tabs[0].get_by_label("Message", exact=True).press("Enter")  # what could not be sent was kept
        expect(tabs[1].get_by_role("log").locator("p.text").last).to_have_text("still there?")
