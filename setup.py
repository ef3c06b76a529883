"""The compiled modules. Everything else about the package is in setup.cfg."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from threading import Lock

if sys.platform == "win32":
    sys.exit("GreenWS does not support Windows. It runs on Linux and macOS, and on Windows inside WSL.")

import greenlet
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# A `.py` is ordinary Python; the `.pxd` beside it types it for the compiler.
SOURCES = [
    "greenws/bench/histogram.py",
    "greenws/bench/load.pyx",
    "greenws/protocol/events.py",
    "greenws/protocol/frames.py",
    "greenws/protocol/grammar.py",
    "greenws/protocol/handshake.py",
    "greenws/protocol/head_limits.py",
    "greenws/protocol/http.py",
    "greenws/protocol/known_heads.py",
    "greenws/protocol/mask.pyx",
    "greenws/protocol/messages.py",
    "greenws/net/accept.pyx",
    "greenws/net/broadcast.py",
    "greenws/net/closing.pyx",
    "greenws/net/connection.pyx",
    "greenws/net/control.pyx",
    "greenws/net/counts.pyx",
    "greenws/net/epoll.pyx",
    "greenws/net/greenlets.pyx",
    "greenws/net/heartbeat.py",
    "greenws/net/inflow.pyx",
    "greenws/net/line.pyx",
    "greenws/net/outbox.pyx",
    "greenws/net/outflow.pyx",
    "greenws/net/pool.pyx",
    "greenws/net/reactor.pyx",
    "greenws/net/receiver.pyx",
    "greenws/net/sender.pyx",
    "greenws/net/stream.pyx",
    "greenws/net/survey.pyx",
    "greenws/net/turn.pyx",
    "greenws/net/wheel.py",
    "greenws/server/admission.py",
    "greenws/server/arrival.py",
    "greenws/server/environ.py",
    "greenws/server/straight.py",
    "greenws/server/upgrade.py",
    "greenws/server/wsgi.py",
    "greenws/server/listener.py",
    "greenws/flaskext/context.py",
    "greenws/flaskext/dispatch.py",
    "greenws/flaskext/request.py",
    "greenws/flaskext/route.py",
    "greenws/flaskext/routing.py",
    "greenws/flaskext/sessions.py",
    "greenws/flaskext/state.py",
    "greenws/flaskext/steps.py",
]

DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,  # types come from the .pxd: annotations are for people and for mypy
    "binding": True,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
}

RECORD = Path("greenws/_build.json")
GREENLET_HEADER = str(Path(greenlet.__file__).parent.parent)  # #include "greenlet/greenlet.h"


class RecordedBuild(build_ext):
    """Cython, a compiler for each core, and a record of the contents that each extension was made from.

    By the record tests/test_build.py knows a stale extension, and a build in place leaves the fresh ones alone.
    Contents, not times: a checkout or a copy gives files any time.
    """

    def finalize_options(self) -> None:
        """Sets what Cython is to do, always from the start."""
        super().finalize_options()
        self.force = True
        self.parallel = self.parallel or os.cpu_count()
        self.lock = Lock()
        if self.inplace:  # ours, not a user's: what a later Cython or compiler finds to say must not end an install
            for extension in self.extensions:
                extension.extra_compile_args.append("-Werror=sign-compare")

    def run(self) -> None:
        """Builds what is stale, in place; everything, for a wheel."""
        root = Path() if self.inplace else Path(self.build_lib)
        record = read_record() if self.inplace else {}
        inputs = {self.get_ext_filename(ext.name): digests(ext.sources[0]) for ext in self.extensions}
        stale = {file for file in inputs if record.get(file) != inputs[file] or not (root / file).exists()}
        self.extensions = [ext for ext in self.extensions if self.get_ext_filename(ext.name) in stale]
        super().run()
        (root / RECORD).write_text(json.dumps(record | inputs, indent=1, sort_keys=True))

    def build_extension(self, ext: Extension) -> None:
        """Makes one, in one of several threads. Cython itself is not made for threads."""
        with self.lock:
            [made] = cythonize(ext, compiler_directives=DIRECTIVES, build_dir=self.build_temp, force=True, quiet=True)
        ext.sources = made.sources
        super().build_extension(ext)


def read_record() -> dict[str, dict[str, str]]:
    """What the builds in place have recorded so far; one for each version of Python."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


def digests(source: str) -> dict[str, str]:
    """What goes into an extension: its source, the .pxd files (it may cimport any of them), and this file."""
    files = [Path(source), *Path("greenws").rglob("*.pxd"), Path("setup.py")]
    return {file.as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


setup(
    cmdclass={"build_ext": RecordedBuild},
    ext_modules=[
        Extension(
            source.partition(".")[0].replace("/", "."),
            [source],
            include_dirs=[GREENLET_HEADER],
            extra_compile_args=["-O3", "-g0"],
        )
        for source in SOURCES
    ],
)
