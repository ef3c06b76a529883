"""Runs import-linter on every source, the compiled ones too.

By itself it reads only .py files: what a .pyx or .pxd imports it does not see, and an import of a module that it has
not read it takes for one of `greenws` itself. So it gets a copy of the package in which each module is one .py, with
the imports of its .pyx and .pxd on lines of their own.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
IMPORT = re.compile(r"\s*(?:from\s+(?P<origin>[\w.]+)\s+c?import\b|c?import\s+(?P<modules>[\w., ]+))")


def imports(line: str) -> str:
    """The import on a line of Cython, as Python. From where matters, what does not."""
    found = IMPORT.match(line)
    if not found:
        return ""
    return f"from {found['origin']} import *" if found["origin"] else f"import {found['modules']}"


def main() -> int:
    """Returns the status of import-linter."""
    with tempfile.TemporaryDirectory() as copy:
        for suffix in (".py", ".pyx", ".pxd"):
            for source in (ROOT / "greenws").rglob(f"*{suffix}"):
                module = Path(copy, source.relative_to(ROOT)).with_suffix(".py")
                module.parent.mkdir(parents=True, exist_ok=True)
                text = source.read_text()
                with module.open("a") as file:
                    file.write(text if suffix == ".py" else "\n".join(map(imports, text.splitlines())) + "\n")
        linter = Path(sys.executable).with_name("lint-imports")
        return subprocess.call([linter, "--config", ROOT / "setup.cfg", "--no-cache"], cwd=copy)


if __name__ == "__main__":
    sys.exit(main())
