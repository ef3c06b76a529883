"""import-linter reads only .py files. The compiled sources keep the contract of setup.cfg, too."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "greenws"
SOURCES = sorted([*PACKAGE.rglob("*.pyx"), *PACKAGE.rglob("*.pxd"), *PACKAGE.rglob("*.pyi")])

FOREIGN = {"flask", "gunicorn", "werkzeug", "redis", "locust", "geventwebsocket"}  # each has its one home, in a .py


def rows() -> list[set[str]]:
    """The rows of the house, from the inside to the outside."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["importlinter:contract:layers"]["layers"].split("\n")
    return [set(re.findall(r"\w+", line)) for line in reversed(lines) if line]


def imported(source: str) -> set[str]:
    """The modules that an import or cimport names, absolute ones."""
    return set(re.findall(r"^\s*(?:from|c?import) +([\w.]+)", source, re.MULTILINE))


def outward(importer: str, modules: set[str]) -> set[str]:
    """Those of the modules that the row of the importer may not know."""
    house = rows()
    row = next(number for number, names in enumerate(house) if importer in names)
    allowed = set().union(*house[:row], {importer})
    return {
        name
        for name in modules
        if name.partition(".")[0] in FOREIGN
        or (name.partition(".")[0] == "greenws" and name.partition(".")[2].partition(".")[0] not in allowed)
    }


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_compiled_source_imports_inwards_only(file: Path) -> None:
    assert outward(file.relative_to(PACKAGE).parts[0], imported(file.read_text())) == set()


@pytest.mark.parametrize(
    "line",
    ["from greenws.server.wsgi import x", "from greenws import GreenWS", "cimport greenws.server.wsgi", "import flask"],
)
def test_an_import_that_points_outwards_is_noticed(line: str) -> None:
    assert len(outward("net", imported(line))) == 1
