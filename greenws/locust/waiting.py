"""Who waits for which message of one connection: by key, by predicate, or in the order of asking."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from gevent.event import AsyncResult

Message = str | bytes


class Waiter:
    """One message that somebody waits for.

    Args:
        key: that of the message, for those who ask by it.
        predicate: says whether a message is the one. With neither, it is the next that nobody else asks for.

    Attributes:
        arrived: when the message came, on ``time.perf_counter``.
        is_given_up: nobody waits any more, but the answer may still come, and is not to be taken for the next one.
    """

    __slots__ = ("_result", "arrived", "is_given_up", "key", "predicate")

    def __init__(self, key: Hashable = None, predicate: Callable[[Message], object] | None = None) -> None:
        self.key = key
        self.predicate = predicate
        self.arrived = 0.0
        self.is_given_up = False
        self._result: AsyncResult = AsyncResult()

    @property
    def is_in_order(self) -> bool:
        """Whether it takes what nobody else asks for."""
        return self.key is None and self.predicate is None

    def wants(self, message: Message, key: Hashable) -> bool:
        """Whether this is the message that was asked for, by its key or by the predicate."""
        if self.key is not None:
            return key is not None and self.key == key
        return self.predicate is not None and bool(self.predicate(message))

    def give(self, message: Message) -> None:
        """Hands over the message."""
        self.arrived = time.perf_counter()
        self._result.set(message)

    def fail(self, error: Exception) -> None:
        """There will be no message."""
        self.arrived = time.perf_counter()
        self._result.set_exception(error)

    def wait(self, timeout: float) -> Message:
        """Blocks the calling greenlet until there is a message. Raises what ``fail`` got, or ``gevent.Timeout``."""
        return self._result.get(timeout=timeout)  # type: ignore[no-any-return]


class Waiters:
    """All who wait for messages of one connection. Nothing here blocks."""

    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: list[Waiter] = []

    def add(self, waiter: Waiter) -> None:
        """Lets one more wait."""
        self._all.append(waiter)

    def find(self, message: Message, key: Hashable) -> Waiter | None:
        """Takes out who a message is for: whoever asks for this very one, else the first in order."""
        found = next((waiter for waiter in self._all if waiter.wants(message, key)), None)
        if found is None and key is None:
            found = next((waiter for waiter in self._all if waiter.is_in_order), None)
        if found is not None:
            self._all.remove(found)
        return found

    def give_up(self, waiter: Waiter) -> None:
        """Nobody waits for it any more. In order, its place stays taken, or all later answers would be one off."""
        waiter.is_given_up = True
        if not waiter.is_in_order and waiter in self._all:
            self._all.remove(waiter)

    def fail_all(self, error: Exception) -> None:
        """The connection has ended."""
        waiting, self._all = self._all, []
        for waiter in waiting:
            waiter.fail(error)
