"""The compiled modules are compiled, and from the sources that are here."""

from __future__ import annotations

import hashlib
import importlib
import json
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

import pytest

import greenws

PACKAGE = Path(greenws.__file__).parent
ROOT = PACKAGE.parent

# Whatever has a .pyx, or a .pxd that types a .py, is to be compiled.
COMPILED = sorted(
    {
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for pattern in ("*.pyx", "*.pxd")
        for file in PACKAGE.rglob(pattern)
    }
)


def changed_inputs(inputs: dict[str, str]) -> list[str]:
    """The files whose content is not what was recorded; what a wheel leaves out (setup.py, .pyx) is passed over."""
    files = {name: ROOT / name for name in inputs}
    return [
        name
        for name, file in files.items()
        if file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() != inputs[name]
    ]


@pytest.mark.parametrize("name", COMPILED)
def test_module_is_compiled(name: str) -> None:
    assert isinstance(importlib.import_module(name).__loader__, ExtensionFileLoader)


@pytest.mark.parametrize("name", COMPILED)
def test_extension_is_made_from_the_sources_that_are_here(name: str) -> None:
    extension = Path(importlib.import_module(name).__file__)
    inputs = json.loads((PACKAGE / "_build.json").read_text())[extension.relative_to(ROOT).as_posix()]
    assert changed_inputs(inputs) == [], "stale: `touch setup.py && make setup` builds it anew"


def test_a_change_of_content_is_noticed() -> None:
    """The check above is able to fail."""
    assert changed_inputs({"greenws/py.typed": hashlib.sha256(b"as it was").hexdigest()}) == ["greenws/py.typed"]
