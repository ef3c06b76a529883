"""Blocking-style views: a function that has the connection to itself, in a greenlet of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import gevent
from flask import Flask, has_app_context
from flask.ctx import AppContext
from gevent.event import AsyncResult
from greenlet import GreenletExit, getcurrent, greenlet

from greenws.errors import ConnectionClosed, StateError
from greenws.flaskext.context import has_teardown
from greenws.net.connection import Connection

_view: ContextVar[View] = ContextVar("greenws.view")


class View:
    """One run of a view.

    Args:
        app: the application.
        function: the view: ``function(conn, **values)``.
        conn: its connection, not open yet.
        values: the values of the URL rule.
    """

    __slots__ = ("_app", "_conn", "_context", "_function", "_is_used", "_outcome", "_values")

    def __init__(self, app: Flask, function: Callable[..., Any], conn: Connection, values: dict[str, Any]) -> None:
        self._app = app
        self._function = function
        self._conn = conn
        self._values = values or None
        self._context: AppContext | None = None
        self._is_used = False
        self._outcome: AsyncResult | None = AsyncResult()

    def start(self) -> Any:
        """Runs the view in a new greenlet. Blocks until it first uses its connection, or ends before that.

        The view has the context variables of the caller, so ``flask.request`` works in it. It has a greenlet of its own
        also for the sake of memory: that stays as long as the connection, and the caller's stack is not under it.

        Returns:
            None when the upgrade is to go on, else the response that the view returned instead.

        Raises:
            Exception: what the view raised before it used the connection.
        """
        outcome = self._outcome
        assert outcome is not None
        # Not gevent's own kind, which keeps where it was spawned for as long as it lives.
        view = greenlet(self._work, gevent.get_hub())
        view.gr_context = copy_context()
        gevent.get_hub().loop.run_callback(view.switch)
        if outcome.wait(self._conn.service.config.handshake_timeout) is None and not outcome.ready():
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
        """The view's greenlet."""
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
        """Runs the view and ends the connection with it. Returns and raises what ``start`` does."""
        self._conn.set_opener(self._use)
        _view.set(self)
        views, me = self._conn.service.registry.views, getcurrent()
        views.add(me)
        answer = None
        try:
            answer = self._call()
        except GreenletExit:
            self._fail(StateError("the view was killed"))
        except (Exception, gevent.Timeout) as error:
            self._fail(error)
        except BaseException:
            if self._is_used:
                self._conn.close(1011)
            raise
        finally:
            views.discard(me)
        if self._is_used or answer is None:
            self._conn.close()
            return None
        return answer

    def _fail(self, error: BaseException) -> None:
        """For the except clause: before the first use the error is the request's, later it is the connection's."""
        if not self._is_used:
            raise error
        if not (isinstance(error, ConnectionClosed) and self._conn.closed):
            self._conn.handler_failed(error)

    def _call(self) -> Any:
        if not has_app_context():  # without a Flask request
            self.renew_context()
        try:
            if self._values is None:  # such a call takes nothing of the C stack, which is kept for each view
                return self._function(self._conn)
            return self._function(self._conn, **self._values)
        finally:
            self._end_context()

    def _end_context(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            context.pop()  # its teardown functions are given the exception that is on its way, if there is one

    def renew_context(self) -> None:
        """Ends the app context of the last message and begins the next; only empties ``g`` if nobody wants to know."""
        if self._context is None or has_teardown(self._app):
            self._end_context()
            self._context = self._app.app_context()
            self._context.push()
        elif self._context.g.__dict__:
            self._context.g = self._app.app_ctx_globals_class()


def before_wait(conn: Connection) -> None:
    """Lets go of what the last message needed, such as a database session. Called when a view is about to wait."""
    view = _view.get(None)
    if view is not None:
        view.renew_context()
