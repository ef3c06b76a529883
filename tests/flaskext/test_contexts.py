"""App contexts of messages: fresh for each, torn down behind it, and no request in them."""

from __future__ import annotations

import gc
from contextvars import ContextVar, copy_context

import gevent
import pytest
from flask import Flask, appcontext_tearing_down, current_app, g, has_app_context, has_request_context
from flask.ctx import AppContext
from gevent.event import Event

from greenws import Endpoint, GreenWS


@pytest.fixture(params=["event", "blocking", "event lean", "blocking lean"])
def on_message(request, ws):
    """A route at /echo that answers a message with what the function in the list makes of it, in each style."""
    functions = []
    lean = {"request_context": "lean" not in request.param}

    if request.param.startswith("event"):

        @ws.route("/echo", **lean)
        class Echo(Endpoint):
            def on_message(self, conn, message):
                conn.send(functions[0](message))

    else:

        @ws.route("/echo", **lean)
        def echo(conn):
            for message in conn:
                conn.send(functions[0](message))

    return functions


def ask(peer, message):
    peer.send(message)
    return peer.receive(timeout=5)


def test_the_app_is_there(app, on_message, connect):
    on_message.append(lambda message: current_app.name)
    with connect("/echo") as peer:
        assert [ask(peer, "x") for _ in range(3)] == ["application"] * 3


def test_g_is_fresh_for_each_message(app, on_message, connect):
    on_message.append(lambda message: f"{g.setdefault('said', message)} {g.pop('else', None)} {setattr(g, 'else', 1)}")
    with connect("/echo") as peer:
        assert [ask(peer, message) for message in "abc"] == ["a None None", "b None None", "c None None"]


def test_g_of_before_request_is_not_that_of_messages(app, on_message, connect):
    @app.before_request
    def load():
        g.user = "ann"

    on_message.append(lambda message: str("user" in g))
    with connect("/echo") as peer:
        assert [ask(peer, "x") for _ in range(2)] == ["False", "False"]


def test_g_is_fresh_for_messages_that_came_together(app, on_message, connect):
    on_message.append(lambda message: str(g.setdefault("said", message)))
    with connect("/echo") as peer:
        for number in range(20):
            peer.send(str(number))
        assert [peer.receive() for _ in range(20)] == [str(number) for number in range(20)]


def test_teardown_runs_behind_each_message(app, on_message, connect):
    log = []
    app.teardown_appcontext(lambda error: log.append("teardown" if error is None else repr(error)))
    on_message.append(lambda message: log.append(message) or message)
    with connect("/echo") as peer:
        log.clear()  # the upgrade's
        for message in "abc":
            assert ask(peer, message) == message
            gevent.idle()
            assert log == [message, "teardown"]
            log.clear()


def test_a_resource_goes_back_to_its_pool_between_messages(app, on_message, connect):
    """As Flask-SQLAlchemy does it: taken when first needed, returned at the teardown."""
    out = []

    def resource():
        if "resource" not in g:
            g.resource = object()
            out.append(g.resource)
        return g.resource

    @app.teardown_appcontext
    def give_back(error):
        if (held := g.pop("resource", None)) is not None:
            out.remove(held)

    on_message.append(lambda message: str(resource() is resource()) + str(len(out)))
    with connect("/echo") as first, connect("/echo") as second:
        for peer in (first, second, first):
            assert ask(peer, "x") == "True1"
            gevent.idle()
            assert out == []


def test_whoever_listens_to_the_signal_is_told_of_each_message(app, on_message, connect):
    ended = []

    def note(sender, **extra):
        ended.append(sender)

    on_message.append(lambda message: message)
    with connect("/echo") as peer, appcontext_tearing_down.connected_to(note, app):
        for _ in range(3):
            ask(peer, "x")
        gevent.idle()
        assert len(ended) == 3


def test_a_teardown_function_sees_the_error_of_the_handler(app, on_message, connect, reports):
    seen = []
    app.teardown_appcontext(lambda error: seen.append(repr(error)))

    def fail(message):
        raise ZeroDivisionError("in a message")

    on_message.append(fail)
    with connect("/echo") as peer:
        seen.clear()
        peer.send("x")
        assert peer.wait_closed(5)
    assert "ZeroDivisionError('in a message')" in seen


def test_handlers_of_two_connections_do_not_share_g(app, ws, connect):
    go_on = Event()

    @ws.route("/slow")
    class Slow(Endpoint):
        def on_message(self, conn, message):
            g.who = message
            go_on.wait(5)
            conn.send(g.who)

    with connect("/slow") as first, connect("/slow") as second:
        first.send("first")
        second.send("second")
        gevent.idle()
        go_on.set()
        assert (first.receive(), second.receive()) == ("first", "second")


def test_a_greenlet_with_a_copy_of_its_context_keeps_the_g_of_its_message(on_message, connect):
    go_on, looking = Event(), []

    def look():
        go_on.wait(5)
        return g.who

    def handle(message):
        g.who = message
        looking.append(gevent.spawn(copy_context().run, look))
        return message

    on_message.append(handle)
    with connect("/echo") as first, connect("/echo") as second:
        for peer, message in ((first, "a"), (second, "b"), (first, "c"), (second, "d")):
            ask(peer, message)
        go_on.set()
        assert [greenlet.get(timeout=5) for greenlet in looking] == ["a", "b", "c", "d"]


def test_what_such_a_greenlet_puts_into_its_g_is_not_in_that_of_a_later_message(ws, connect):
    go_on, leaving = Event(), []

    def leave():
        go_on.wait(5)
        g.left = True

    @ws.route("/echo")
    class Echo(Endpoint):
        def on_message(self, conn, message):
            conn.send(str("left" in g))
            leaving.append(gevent.spawn(copy_context().run, leave))

    with connect("/echo") as first, connect("/echo") as second:
        assert ask(first, "x") == "False"
        go_on.set()
        gevent.joinall(leaving)
        assert ask(second, "x") == "False"
        gevent.joinall(leaving)


@pytest.mark.parametrize("fails", [False, True])
def test_variables_set_for_one_message_are_gone_at_the_next(ws, connect, reports, fails):
    language = ContextVar("language", default="none")

    @ws.route("/echo")
    class Echo(Endpoint):
        def on_message(self, conn, message):
            conn.send(language.get())
            language.set(message)
            gevent.sleep(0.01)  # others run meanwhile, in contexts of their own
            conn.send(language.get())
            if fails:
                raise ValueError

    for message in "ab":
        with connect("/echo") as one, connect("/echo") as two:
            one.send(message)
            two.send("x")
            assert [one.receive(5) for _ in range(2)] == ["none", message]
            assert [two.receive(5) for _ in range(2)] == ["none", "x"]
    assert language.get() == "none"


def test_event_style_messages_have_no_request(app, ws, connect):
    @ws.route("/echo")
    class Echo(Endpoint):
        def on_message(self, conn, message):
            conn.send(f"{has_app_context()} {has_request_context()}")

        def on_close(self, conn, code, reason):
            closing.append((has_app_context(), has_request_context()))

    closing = []
    with connect("/echo") as peer:
        assert ask(peer, "x") == "True False"
    assert closing == [(True, False)]


def test_on_close_and_spawned_functions_run_in_an_app_context_that_is_torn_down(app, ws, connect):
    log = []

    @ws.route("/feed")
    class Feed(Endpoint):
        def on_message(self, conn, message):
            conn.spawn(self.feed, conn, message)

        def feed(self, conn, message):
            g.seen = current_app.name
            conn.send(f"{g.seen} {message}")

        def on_close(self, conn, code, reason):
            log.append(current_app.name)

    app.teardown_appcontext(lambda error: log.append(error))
    with connect("/feed") as peer:
        gevent.idle()
        log.clear()
        assert ask(peer, "y") == "application y"
        gevent.idle()
        assert log == [None, None]  # of the message and of what it spawned
        log.clear()
    assert log == ["application", None]


def test_two_applications_share_the_greenlets_and_no_context(app):
    names = ("one", "two", "three")
    clients = []
    for name in names:
        app = Flask(name)
        ws = GreenWS(app)

        @ws.route("/name")
        class Name(Endpoint):
            def on_message(self, conn, message):
                before, g.message = g.get("message"), message
                conn.send(f"{current_app.name} {before}")

        clients.append(app.extensions["greenws"].test_client())
    with clients[0].connect("/name") as one, clients[1].connect("/name") as two, clients[2].connect("/name") as three:
        for _ in range(5):
            assert [ask(peer, "x") for peer in (one, two, three)] == ["one None", "two None", "three None"]
        gc.collect()
        before = sum(isinstance(item, AppContext) for item in gc.get_objects())
        for _ in range(50):
            for peer in (one, two, three):
                ask(peer, "x")
        gc.collect()
        after = sum(isinstance(item, AppContext) for item in gc.get_objects())
        assert after <= before, "contexts pile up"
