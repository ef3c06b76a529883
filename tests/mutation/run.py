"""``make mutants``: puts one small fault after the other into greenws/protocol; the protocol's tests must notice it.

They run on the uncompiled build, in a copy of the project. A process that has loaded pytest and what the tests import
of others forks for each mutant, which loads the rest. A mutant is killed when a test fails, or when it takes far more
time of the processor, or memory, than the tests do. README.md says which live on, and why they may.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from importlib.util import cache_from_source
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.mutation.mutants import Mutant, make_mutants

ROOT = Path(__file__).parents[2]
GOAL = 0.9
CPU_LIMIT = 60  # seconds; the longest selection of tests takes twenty
MEMORY_LIMIT = 4 << 30  # bytes of addresses
PRELOADED = ("flask", "gevent", "gunicorn", "hypothesis.strategies", "httptools", "isal.isal_zlib")
# The tests in whose reach a module is; the nearest first. Fewer tests can only let more mutants live.
TESTS = {
    "codes": "codes frames",
    "deflate": "deflate streams",
    "events": "messages frames",
    "extensions": "extensions handshake handshake_client deflate",
    "frames": "frames messages codes any_bytes",
    "grammar": "grammar origin extensions handshake http http_response handshake_client",
    "handshake": "handshake handshake_client",
    "head_limits": "head_limits http http_response",
    "http": "http http_response head_limits handshake_client",
    "inflate": "deflate streams variations messages",
    "known_heads": "known_heads",
    "mask": "mask frames messages",
    "messages": "messages frames any_bytes streams deflate variations",
    "origin": "origin handshake",
}


def run_tests(name: str) -> int:
    """Runs a file of tests in the current folder and returns pytest's status. In a process of its own."""
    for module in [module for module in sys.modules if module.split(".")[0] == "tests"]:
        del sys.modules[module]  # they are the project's, not the copy's
    sys.path[0] = os.getcwd()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    # No clock but the processor's: a busy machine kills no mutant.
    options = ["-qx", "-mnot slow", "-knot compiled", "-pno:cacheprovider", "--timeout=0", "--hypothesis-seed=0"]
    options += ["-Wignore::pytest.PytestAssertRewriteWarning", f"tests/protocol/test_{name}.py"]
    return pytest.main(options)


def has_failure(name: str) -> bool:
    """Whether one of the file's tests fails, or takes too much."""
    process = os.fork()
    if not process:
        status = 1
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            status = run_tests(name)
        finally:
            os._exit(status)
    return os.waitpid(process, 0)[1] != 0


def is_killed(mutant: Mutant) -> bool:
    """Whether a test of this copy notices the mutant."""
    file = Path(mutant.file)
    original = file.read_text()
    Path(cache_from_source(file)).unlink(missing_ok=True)  # of the mutant before, as old and as large to a second
    file.write_text(mutant.source)
    try:
        return any(map(has_failure, TESTS[file.stem].split()))
    finally:
        file.write_text(original)


def enter_copy(folder: str) -> None:
    """Copies the project, with its compiled modules, for one process; it stays in there."""
    copy = Path(tempfile.mkdtemp(dir=folder))
    for name in ("greenws", "tests", "setup.cfg"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(source, copy)
    os.chdir(copy)


def judge(mutant: Mutant) -> tuple[Mutant, bool]:
    return mutant, is_killed(mutant)


def run(mutants: Iterable[Mutant], modules: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """How many mutants of each module there were, and how many of them are killed. Prints those that live."""
    names = sorted({name for module in modules for name in TESTS[module].split()})
    made: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, get_context("fork").Pool(None, enter_copy, (folder,)) as pool:
        if any(pool.map(has_failure, names)):
            sys.exit("there are tests that fail without a mutant")
        for mutant, is_dead in pool.imap_unordered(judge, mutants):
            made[mutant.file] += 1
            killed[mutant.file] += is_dead
            if not is_dead:
                print(mutant.change, flush=True)
    return made, killed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS), help="such as frames; all, if none is given")
    parser.add_argument("--sample", type=int, help="just so many mutants, chosen at random")
    options = parser.parse_args()
    for name in PRELOADED:
        importlib.import_module(name)
    begin = time.monotonic()
    files = [f"greenws/protocol/{module}.py" for module in options.modules]
    mutants: Iterable[Mutant] = (mutant for file in files for mutant in make_mutants(ROOT, file))
    if options.sample:
        everything = list(mutants)
        mutants = random.sample(everything, min(options.sample, len(everything)))
    made, killed = run(mutants, options.modules)
    for file, count in made.items():
        print(f"{killed[file]:5} of {count:4} {file}")
    share = killed.total() / made.total()
    print(f"{killed.total():5} of {made.total():4} killed, {share:.1%}, in {time.monotonic() - begin:.0f} s")
    return 0 if share >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
