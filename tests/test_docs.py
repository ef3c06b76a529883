"""The pages say what is so: their examples run, their links lead somewhere, their tables match the code."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import json
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
    Compression,
    Config,
    Connection,
    ConnectionClosed,
    ConnectionPool,
    Endpoint,
    GreenWS,
    SocketOptions,
    broadcast,
    connect,
)
from greenws.flaskext.testing import TestClient, UpgradeRefused
from greenws.server import WSGIServer
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


# ---- what each application is to do


def check_echo(app: Flask, client: Any) -> None:
    with client.connect("/echo") as peer:
        for message in ("hi", b"\x00\xff"):
            peer.send(message)
            assert peer.receive(timeout=5) == message


def check_page_and_echo(app: Flask, client: Any) -> None:
    assert "/echo" in app.test_client().get("/").text
    assert r"\n" in app.test_client().get("/").text  # for the script, not for Python
    check_echo(app, client)


def check_chat(app: Flask, client: Any) -> None:
    with client.connect("/chat/tea?name=Ada") as ada, client.connect("/chat/tea?name=Bob") as bob:
        ada.send("hi")
        assert [peer.receive(timeout=5) for peer in (ada, bob)] == ["Ada: hi"] * 2
    with pytest.raises(UpgradeRefused) as refusal, client.connect("/chat/tea"):
        pass
    assert refusal.value.status == 400


def check_clock(app: Flask, client: Any) -> None:
    with client.connect("/clock") as peer:
        assert set(json.loads(peer.receive(timeout=5))) == {"time"}


def check_members(app: Flask, client: Any) -> None:
    with pytest.raises(UpgradeRefused) as refusal, client.connect("/news"):
        pass
    assert refusal.value.status == 401
    cookie = app.test_client().get("/enter/ada").headers["Set-Cookie"].partition(";")[0]
    with client.connect("/news", headers={"Cookie": cookie}) as peer:
        peer.send("hi")
        assert peer.receive(timeout=5) == "ada said hi"


def check_factory(app: Flask, client: Any) -> None:
    assert app.extensions["greenws"].config.idle_timeout == 300
    with client.connect("/api/echo", subprotocols=["echo.v1"]) as peer:
        peer.send("hi")
        assert peer.receive(timeout=5) == "echo.v1: hi"
        peer.send("x" * 1025)
        with pytest.raises(ConnectionClosed) as end:
            peer.receive(timeout=5)
    assert end.value.code == 1009


def check_ask(app: Flask, client: Any) -> None:
    with client.connect("/ask") as peer:
        assert peer.receive(timeout=5) == "Your name?"
        peer.send("Ada")
        assert json.loads(peer.receive(timeout=5)) == {"name": "Ada"}


def check_talk(app: Flask, client: Any) -> None:
    with client.connect("/talk", headers={"X-Token": "secret"}) as peer:
        peer.send("hi")
        assert peer.receive(timeout=5) == "token: hi"


def check_door(app: Flask, client: Any) -> None:
    with pytest.raises(UpgradeRefused) as refusal, client.connect("/door"):
        pass
    assert refusal.value.status == 403
    with client.connect("/door?key=right&user=Ada") as peer:
        assert peer.receive(timeout=5) == "Come in, Ada"
        peer.send("hi")
        assert peer.receive(timeout=5) == "hi"


def check_compressed(app: Flask, client: Any) -> None:
    for path, is_compressed in (("/prices", True), ("/thumbnails", False), ("/log", True)):
        with client.connect(path, compression=Compression(server_no_context_takeover=False)) as peer:
            assert (peer.deflate is not None) == is_compressed
            for message in ("secret: x", "y" * 5000):
                peer.send(message)
                assert peer.receive(timeout=5) == message


def check_proxied(app: Flask, client: Any) -> None:
    with client.connect("/address", headers={"X-Forwarded-For": "1.1.1.1, 2.2.2.2"}) as peer:
        assert peer.receive(timeout=5) == "2.2.2.2"


def check_ready(app: Flask, client: Any) -> None:
    assert app.test_client().get("/ready").status_code == 200
    app.extensions["greenws"].registry.take_no_more()
    assert app.test_client().get("/ready").status_code == 503
    app.extensions["greenws"].registry.take_again()


def check_files(app: Flask, client: Any) -> None:
    large = b"bytes" * 300_000
    with TestClient(app, Config(max_stream_size=1 << 24)).connect("/copy") as peer:
        peer.send(large)
        assert b"".join(peer.receive_stream(5)) == large
    with client.connect("/count") as peer:
        for message in (large, "small"):
            peer.send(message)
            answer = {"size": len(message), "held": message == "small"}
            assert json.loads(peer.receive(timeout=5)) == answer
    with client.connect("/numbers") as peer:
        assert peer.receive(timeout=5).splitlines() == [str(number) for number in range(1000)]


def check_gateway(app: Flask, client: Any) -> None:
    assert app.test_client().get("/ready").status_code == 503  # there is no upstream; test_gateway.py has one
    assert not app.extensions["greenws"].is_ready


def check_observed(app: Flask, client: Any) -> None:
    with client.connect("/echo/tea") as peer:
        peer.send("hi")
        assert peer.receive(timeout=5) == "hi"
    metrics = app.extensions["greenws"].metrics
    assert metrics.address is None  # no server serves the application
    assert metrics.read().values["greenws_messages_sent_total"] == {("/echo/<room>",): 1}


def check_geventwebsocket(app: Any, client: Any) -> None:
    with client.connect("/chat") as ada, client.connect("/chat") as bob:
        for peer in (ada, bob):
            peer.send("hi")
        assert [peer.receive(timeout=5) for peer in (ada, bob)] == ["hi"] * 2


def check_socketio(app: Any, client: Any) -> None:
    with client.connect("/socket.io/?EIO=4&transport=websocket", origin="http://localhost") as peer:
        assert peer.receive(timeout=5).startswith("0{")
        peer.send("40")
        assert peer.receive(timeout=5).startswith("40{")
        peer.send('42["shout","hi"]')
        assert peer.receive(timeout=5) == '42["shouted","hi"]'


CHECKS: dict[str, Callable[[Flask, Any], None]] = {
    "README.md:app.py": check_echo,
    "README.md:chat.py": check_chat,
    "README.md:clock.py": check_clock,
    "docs/compression.md:compressed.py": check_compressed,
    "docs/connection.md:ask.py": check_ask,
    "docs/decisions/first-use-opens.md:door.py": check_door,
    "docs/deploy.md:ready.py": check_ready,
    "docs/from-flask-sock.md:app.py": check_echo,
    "docs/from-flask-socketio.md:app.py": check_socketio,
    "docs/from-flask-socketio.md:plain.py": check_socketio,
    "docs/from-gevent-websocket.md:app.py": check_geventwebsocket,
    "docs/limits.md:proxied.py": check_proxied,
    "docs/metrics.md:observed.py": check_observed,
    "docs/pool.md:gateway.py": check_gateway,
    "docs/quickstart.md:app.py": check_page_and_echo,
    "docs/quickstart.md:factory.py": check_factory,
    "docs/quickstart.md:members.py": check_members,
    "docs/streams.md:files.py": check_files,
    "docs/testing.md:app.py": check_talk,
}


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
