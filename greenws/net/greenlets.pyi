from collections.abc import Callable
from contextvars import Context
from typing import TypeVar

_A = TypeVar("_A")
_B = TypeVar("_B")
_R = TypeVar("_R")

def call_in_copy(variables: Context, function: Callable[[_A, _B], _R], first: _A, second: _B) -> _R: ...
