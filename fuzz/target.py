"""Runs a target: ``python -m fuzz.frames`` and what libFuzzer knows, such as ``-max_total_time=30 corpus seeds``.

A target is a function of bytes that asserts its invariant. It needs no atheris, so that tests/test_fuzz.py can give it
the seeds on any machine.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import TypeVar

LIMIT = 0.05  # seconds of this thread's own time, so that a busy machine makes no input slow

Result = TypeVar("Result")


def timed(call: Callable[..., Result], *arguments: object) -> Result:
    """Makes the call and asserts that it did not take long."""
    begin = time.thread_time()
    try:
        return call(*arguments)
    finally:
        took = time.thread_time() - begin
        assert took < LIMIT, f"{call.__name__} took {took * 1000:.0f} ms"


def fuzz(check: Callable[[bytes], None], *modules: ModuleType) -> None:
    """Gives bytes to ``check`` for as long as the command line says, led by what of these modules they reach."""
    import atheris

    for module in modules:
        for scope in (module, *(value for value in vars(module).values() if isinstance(value, type))):
            if scope is not module and scope.__module__ != module.__name__:
                continue
            for name, value in list(vars(scope).items()):
                if isinstance(value, FunctionType) and value.__module__ == module.__name__ and name != "__annotate__":
                    setattr(scope, name, atheris.instrument_func(value))
    gc.freeze()  # what is loaded is looked through no more, which would be on some input's account
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
