"""The two builds of ``greenws.protocol``, so that one test runs on both.

``compiled`` is what everybody imports: Python prefers ``frames.cpython-….so`` to ``frames.py``, and the ``mask`` of
mask.pyx to its twin mask.py. ``pure`` is the same folder under another package name, loaded from nothing but ``.py``
files. The modules import each other relatively, so each build has its own siblings; both share ``greenws.errors``.

The two have classes of their own: compare with those of the build under test (``codec.events.Close``, not
``greenws.protocol.events.Close``).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace

import greenws.protocol

BUILDS = ("compiled", "pure")

_FOLDER = Path(greenws.protocol.__file__).parent
_PURE = "greenws_pure"


class _SourcesOnly(MetaPathFinder):
    """Finds ``greenws_pure.protocol.frames`` in greenws/protocol/frames.py, and never an extension module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == _PURE:  # a package without a file
            return ModuleSpec(_PURE, None, is_package=True)
        if not fullname.startswith(f"{_PURE}.protocol"):
            return None
        folder = _FOLDER if fullname.count(".") > 1 else _FOLDER.parent
        return FileFinder(str(folder), (SourceFileLoader, [".py"])).find_spec(fullname)


sys.meta_path.insert(0, _SourcesOnly())


def load(build: str) -> SimpleNamespace:
    """Returns the modules of one build by their names: ``http``, ``handshake``, ``codes``, ``mask``, ``frames``, …"""
    package = "greenws.protocol" if build == "compiled" else f"{_PURE}.protocol"
    names = (file.stem for file in _FOLDER.glob("*.py") if file.stem != "__init__")
    return SimpleNamespace(**{name: importlib.import_module(f"{package}.{name}") for name in names})
