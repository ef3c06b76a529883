"""The stubs (.pyi) say what the compiled modules are. They are written by hand, so this is what keeps them true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import greenws

PACKAGE = Path(greenws.__file__).parent
ROOT = PACKAGE.parent

# Where a .py lies beside a .pyx, it serves as the stub; other compiled modules are made from their .py.
SOURCES = sorted(PACKAGE.rglob("*.pyx"))
STUBS = [source.with_suffix(".pyi") for source in SOURCES if not source.with_suffix(".py").exists()]

# What stubtest would report and is right, with the reason. An entry that matches nothing fails, too.
ALLOWED = r"""
# Cython puts these into every module and class.
greenws\..*\.__(pyx_capi|reduce_cython|setstate_cython|test)__
# A compiled constructor seems to take anything; its parameters are compared below.
greenws\.net\.reactor\.Reactor\.__init__
# Free attributes (`conn.room = "lobby"`): the instance has a __dict__, the type checker needs to be told.
greenws\.net\.connection\.Connection\.__[gs]etattr__
# A number that these modules import: it does not know where it comes from.
greenws\.net\.(closing|connection|receiver|sender)\.TICK
"""

# What else is wrong with the package is for `make types` to say.
CONFIG = """
[mypy]
follow_imports = silent
ignore_missing_imports = true
"""


def module_name(source: Path) -> str:
    return ".".join(source.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.slow
def test_stubs_are_true_to_the_compiled_modules(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="the stubs are compared by mypy, which is not installed")
    allowed, config = tmp_path / "allowed.txt", tmp_path / "mypy.ini"
    allowed.write_text(ALLOWED)
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "mypy.stubtest", "--concise", "--allowlist", allowed, "--mypy-config-file", config]
    # A mark for disjoint bases would need a typing_extensions that older type checkers do not know.
    command += ["--ignore-disjoint-bases", *map(module_name, SOURCES)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("stub", STUBS, ids=module_name)
def test_constructors_have_the_parameters_that_their_stub_says(stub: Path) -> None:
    """A compiled constructor does not tell its parameters, so stubtest passes over it."""
    assert stub_constructors(stub.read_text()) == source_constructors(stub.with_suffix(".pyx").read_text())


def stub_constructors(text: str) -> dict[str, list[str]]:
    """Returns the parameters by class, with "=" behind those that have a default."""
    found = {}
    for made in ast.parse(text).body:
        for method in getattr(made, "body", ()):
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                arguments = method.args
                optional = len(arguments.args) - len(arguments.defaults)
                names = [argument.arg + "=" * (i >= optional) for i, argument in enumerate(arguments.args)]
                names += ["*"] * bool(arguments.kwonlyargs)
                names += [
                    argument.arg + "=" * (default is not None)
                    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
                ]
                found[made.name] = names
    return {name: names for name, names in found.items() if names != ["self"]}


def source_constructors(text: str) -> dict[str, list[str]]:
    """Returns the same of Cython's source, in which a parameter is ``Type name not None=default``."""
    found = {}
    for name, body in re.findall(r"^(?:cdef )?class (\w+)(.*?)(?=^\S|\Z)", text, re.DOTALL | re.MULTILINE):
        for parameters in re.findall(r"def __init__\((self, .*?)\):\n", body, re.DOTALL):
            parts = [part.replace("not None", "").partition("=") for part in parameters.split(",")]
            found[name] = [part[0].split()[-1] + part[1] for part in parts]
    return found


def test_a_drift_of_constructors_is_noticed() -> None:
    """The check above is able to fail."""
    source = "cdef class A(B):\n    def __init__(self, C c not None, int size=1, *, last=None):\n        pass\n"
    stub = "class A(B):\n    def __init__(self, c: C, {}*, last: D | None = None) -> None: ...\n"
    assert source_constructors(source) == {"A": ["self", "c", "size=", "*", "last="]}
    assert stub_constructors(stub.format("size: int = 1, ")) == source_constructors(source)
    assert stub_constructors(stub.format("size: int, ")) != source_constructors(source)
    assert stub_constructors(stub.format("")) != source_constructors(source)
