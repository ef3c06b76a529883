"""Runs what has a connection to itself for as long as it runs, in a greenlet of its own."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

import gevent
from gevent.event import AsyncResult
from greenlet import GreenletExit, getcurrent, greenlet

from greenws.errors import ConnectionClosed, StateError
from greenws.net.connection import Connection
from greenws.protocol.codes import CloseCode


class BlockingRun:
    """One run. A subclass says what runs, in ``call``.

    Args:
        conn: the connection, not open yet.
    """

    __slots__ = ("_conn", "_is_used", "_outcome")

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._is_used = False
        self._outcome: AsyncResult | None = AsyncResult()

    def call(self) -> Any:
        """What runs. Returns the answer to the request, for when the connection has not been used; None opens it."""
        raise NotImplementedError

    def is_end(self, error: BaseException) -> bool:
        """Whether what was raised says no more than that the connection has ended."""
        return isinstance(error, ConnectionClosed)

    def start(self, patience: float | None = None) -> Any:
        """Runs it in a new greenlet. Blocks until the connection is first used, or it ends before that.

        It has the context variables of the caller, so ``flask.request`` works in it. It has a greenlet of its own also
        for the sake of memory: that stays as long as the connection, and the caller's stack is not under it.

        Args:
            patience: seconds after which the connection is opened although it was not used; ``handshake_timeout`` when
                None.

        Returns:
            None when the upgrade is to go on, else the answer that is sent instead.

        Raises:
            Exception: what was raised before the connection was used.
        """
        outcome = self._outcome
        assert outcome is not None
        # Not gevent's own kind, which keeps where it was spawned for as long as it lives.
        # And not of a bound method, whose call would have its part of the stack that is kept.
        run = greenlet(BlockingRun._work, gevent.get_hub())
        run.gr_context = copy_context()
        gevent.get_hub().loop.run_callback(run.switch, self)
        if patience is None:
            patience = self._conn.service.config.handshake_timeout
        if outcome.wait(patience) is None and not outcome.ready():
            self._use(self._conn)  # it waits for something else: the peer gets its 101 and is watched from now on
        return outcome.get()

    def _use(self, conn: Connection) -> None:
        """The connection is used for the first time."""
        self._is_used = True
        if (outcome := self._take_outcome()) is not None:
            outcome.set(None)

    def _take_outcome(self) -> AsyncResult | None:
        """What ``start`` waits for; None when the request is over."""
        outcome, self._outcome = self._outcome, None
        return outcome

    def _work(self) -> None:
        """The run's greenlet."""
        try:
            answer = self._run()
        except BaseException as error:
            if (outcome := self._take_outcome()) is None:
                raise  # for the hub, which ends the process for SystemExit
            outcome.set_exception(error)
        else:
            if (outcome := self._take_outcome()) is not None:
                outcome.set(answer)

    def _run(self) -> Any:
        """Calls it and ends the connection with it. Returns and raises what ``start`` does."""
        self._conn.set_opener(self._use)
        views, me = self._conn.service.registry.views, getcurrent()
        views[me] = None
        answer = None
        try:
            answer = self.call()
        except GreenletExit:
            self._fail(StateError("the view was killed"))
        except (Exception, gevent.Timeout) as error:
            self._fail(error)
        except BaseException:
            if self._is_used:
                self._conn.close(CloseCode.INTERNAL_ERROR)
            raise
        finally:
            del views[me]
        if self._is_used or answer is None:
            self._conn.close()
            return None
        return answer

    def _fail(self, error: BaseException) -> None:
        """For the except clause: before the first use the error is the request's, later it is the connection's."""
        if not self._is_used:
            raise error
        if not (self.is_end(error) and self._conn.closed):
            self._conn.handler_failed(error)
