"""The pages say what is so: their examples run, their links lead somewhere, their tables match the code."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, get_args, get_type_hints

import gevent
import pytest
from flask import Flask

from greenws import (
    Config,
    Connection,
    ConnectionPool,
    Endpoint,
    GreenWS,
    SocketOptions,
    broadcast,
    connect,
)
from greenws.flaskext.testing import TestClient
from greenws.server import WSGIServer
from tests.doc_checks import CHECKS
from tests.interop.serving import serve
from tests.locust.running import run_locust

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "README.md"]
PAGES += [ROOT / "SECURITY.md", ROOT / "THREAT_MODEL.md", ROOT / "locustfiles" / "README.md"]

# Runs a program up to the point where it would serve for ever.
AS_A_PROGRAM = """
import runpy, sys
from gevent import monkey
from gevent.baseserver import BaseServer
BaseServer.serve_forever = lambda server: print(*server.address, monkey.is_module_patched("socket"))
sys.path.insert(0, ".")
runpy.run_path(sys.argv[1], run_name="__main__")
"""

# What a Connection has for the framework; the pages leave it out.
INTERNAL = {"abandon", "accept", "attach", "deflate", "ended_here", "expire", "fileno", "handler_failed"}
INTERNAL |= {"is_connecting", "is_over", "is_quiet", "next_chunk", "reactor", "service", "set_opener", "wheel_slot"}


class Block(NamedTuple):
    """An example: the file that its first line names."""

    page: str
    name: str
    source: str

    def __str__(self) -> str:
        return f"{self.page}:{self.name}"


def title(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def find_blocks() -> Iterator[Block]:
    for page in PAGES:
        for source in re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            name = re.match(r"# (\w+\.py)\n", source)
            assert name, f"{title(page)}: an example does not say which file it is: {source[:60]!r}"
            yield Block(title(page), name[1], source)


BLOCKS = list(find_blocks())
TESTS = [block for block in BLOCKS if block.name.startswith("test_")]
PROGRAMS = [block for block in BLOCKS if ".serve_forever()" in block.source]
CLIENTS = [block for block in BLOCKS if "ws://127.0.0.1:8000" in block.source]
LOADS = [block for block in BLOCKS if "greenws.locust" in block.source]
APPS = [block for block in BLOCKS if block not in (*TESTS, *PROGRAMS, *CLIENTS, *LOADS)]


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the files of the example's page."""
    for block in BLOCKS:
        if block.page == request.getfixturevalue("block").page:
            (tmp_path / block.name).write_text(block.source, encoding="utf-8")
    return tmp_path


def load(file: Path) -> ModuleType:
    """Loads an example anew, so that no test sees what another left in it."""
    spec = importlib.util.spec_from_file_location(f"docs_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- examples


def test_every_application_has_its_check() -> None:
    assert {str(block) for block in APPS} == set(CHECKS)


def test_no_page_has_two_examples_of_one_name() -> None:
    assert len({str(block) for block in BLOCKS}) == len(BLOCKS)


@pytest.mark.parametrize("block", APPS, ids=str)
def test_application_does_what_its_page_says(block: Block, folder: Path) -> None:
    module = load(folder / block.name)
    app = module.create_app() if hasattr(module, "create_app") else module.app
    CHECKS[str(block)](app, TestClient(app))


@pytest.mark.slow
@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_program_serves(block: Block, folder: Path) -> None:
    command = [sys.executable, "-c", AS_A_PROGRAM, block.name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=25, check=False)
    assert done.stderr == ""  # such as gevent's warning that it patched too late
    assert done.stdout.split() == ["127.0.0.1", "8000", "True"]


@pytest.mark.slow
@pytest.mark.parametrize("block", TESTS, ids=str)
def test_tests_pass(block: Block, folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", block.name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"^(\d+) passed", done.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) == block.source.count("\ndef test_")


@pytest.mark.parametrize("block", CLIENTS, ids=str)
def test_client_gets_its_echo(block: Block, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = Flask("echo")

    @GreenWS(app).route("/echo")
    class Echo(Endpoint):
        def on_message(self, conn: Connection, message: str | bytes) -> None:
            conn.send(message)

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    try:
        file = tmp_path / block.name
        file.write_text(block.source.replace(":8000", f":{server.address[1]}"), encoding="utf-8")
        load(file)
        gevent.idle()  # on_close runs in a greenlet of its own
        assert capsys.readouterr().out.split()[0] in block.source  # what it sent
        assert not list(app.extensions["greenws"].connections)
    finally:
        server.stop(1)


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    with serve("greenws.demo.app:create_app") as server:
        yield server.url("")


@pytest.mark.slow
@pytest.mark.timeout(50)
@pytest.mark.parametrize("block", LOADS, ids=str)
def test_load_test_runs(block: Block, folder: Path, demo: str) -> None:
    options = () if "Stages" in block.source else ("-t", "2s")
    run = run_locust(folder / block.name, demo, folder / "run", "-u", "2", "-r", "2", *options, "--max-fail-ratio", "0")
    assert run.code == 0, run.log
    assert "Traceback" not in run.log
    assert run.connections["total"]["received"]


# ---- links


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if path.startswith(("http://", "https://")):
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT), f"{target} leads out of the project"
        assert file.exists(), f"{target} is not there"
        assert not anchor or anchor in slugs(file), f"{target}: no such heading"


def test_every_page_can_be_reached_from_the_index() -> None:
    docs = ROOT / "docs"
    links = re.findall(r"\]\(([^)#\s]+)\)", (docs / "index.md").read_text(encoding="utf-8"))
    pages = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}
    assert pages - {"index.md"} == {link for link in links if not link.startswith("..")}


# ---- tables


def lines_of(page: str, heading: str) -> list[tuple[str, list[str]]]:
    """A table's lines: the first cell without its backquotes, and the others. ``heading`` is the first column's."""
    lines = iter((ROOT / page).read_text(encoding="utf-8").splitlines())
    next(line for line in lines if line.startswith(f"| {heading} |"))
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        first, *others = (cell.strip() for cell in line.strip("|").split(" | "))
        found.append((first.strip("`"), others))
    return found


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """The same for a table of different first cells."""
    lines = lines_of(page, heading)
    assert len(dict(lines)) == len(lines)
    return dict(lines)


def value(cell: str) -> object:
    return ast.literal_eval(cell.strip("`"))


def test_the_table_of_limits_has_each_setting_with_its_default() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Config)}
    table = {name: value(cells[0]) for name, cells in rows("docs/limits.md", "setting").items()}
    assert list(table) == list(fields)
    assert [repr(default) for default in table.values()] == [repr(default) for default in fields.values()]


def test_the_table_of_limits_says_which_a_route_can_set() -> None:
    fields = {field.name for field in dataclasses.fields(Config)}
    table = {name for name, cells in rows("docs/limits.md", "setting").items() if cells[1] == "route"}
    assert table == fields & set(inspect.signature(GreenWS.route).parameters)


def test_the_table_of_fixed_values_is_right() -> None:
    table = lines_of("docs/limits.md", "value")
    assert table
    for text, (name, _) in table:
        module, _, constant = name.strip("`").rpartition(".")
        assert repr(getattr(importlib.import_module(module), constant)) == text, name


def test_every_method_and_attribute_of_a_connection_has_its_row() -> None:
    public = {name for name in dir(Connection) if not name.startswith("_")} - INTERNAL
    calls = {call.partition("(")[0] for call in rows("docs/connection.md", "call") if "(" in call}
    assert calls | set(rows("docs/connection.md", "name")) == public, "what is not for users belongs into INTERNAL"


@pytest.mark.parametrize(("page", "function"), [("docs/client.md", connect)])
def test_every_argument_has_its_row_and_default(page: str, function: Callable[..., Any]) -> None:
    cells = {name: cells[0] for name, cells in rows(page, "argument").items()}
    table = {name: inspect.Parameter.empty if cell == "needed" else value(cell) for name, cell in cells.items()}
    arguments = inspect.signature(function).parameters.values()
    assert table == {item.name: item.default for item in arguments if item.kind is not item.VAR_KEYWORD}


def test_the_table_of_socket_options_has_each_with_its_default() -> None:
    table = {name: value(cells[0]) for name, cells in rows("docs/sockets.md", "option").items()}
    assert table == {field.name: field.default for field in dataclasses.fields(SocketOptions)}


def test_the_policies_of_broadcast_are_those_there_are() -> None:
    policies = get_args(get_type_hints(broadcast)["policy"])
    assert [name.strip('"') for name in rows("README.md", "policy")] == list(policies)


def test_the_table_of_thresholds_has_each_option() -> None:
    source = (ROOT / "greenws" / "locust" / "thresholds.py").read_text(encoding="utf-8")
    options = list(dict.fromkeys(re.findall(r'"(--[a-z0-9-]+)"', source)))
    assert [option.split()[0] for option in rows("docs/load-testing.md", "option")] == options


# ---- the commands


def test_the_readme_begins_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.search(r"^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert commands is not None
    assert [line.partition(" #")[0].strip() for line in commands[1].splitlines()] == ["make demo", "make test"]


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_words_of_make_are_in_the_makefile(page: Path) -> None:
    known = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for words in re.findall(r"(?:`|^)make ((?:[a-z0-9-]+ ?)+)", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert set(words.split()) <= known


def test_the_settings_of_a_pool_have_their_rows() -> None:
    parameters = inspect.signature(ConnectionPool).parameters.values()
    settings = {item.name: item.default for item in parameters if item.kind is item.KEYWORD_ONLY}
    assert {name: value(cells[0]) for name, cells in rows("docs/pool.md", "setting").items()} == settings
