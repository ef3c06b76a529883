"""The way of an upgrade through Flask, beside the one that Flask itself goes."""

from __future__ import annotations

import traceback
from contextvars import Context
from functools import partial

import flask
import gevent
import pytest
import werkzeug.sansio.response
from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    after_this_request,
    copy_current_request_context,
    g,
    got_request_exception,
    has_app_context,
    has_request_context,
    request,
    session,
    url_for,
)
from flask.ctx import AppContext, RequestContext
from flask.sessions import SecureCookieSessionInterface
from werkzeug.test import EnvironBuilder

from greenws import Endpoint, GreenWS
from greenws.flaskext import dispatch
from greenws.flaskext.route import UpgradeResponse
from tests.flaskext.conftest import handshake


def make(seen):
    """An application that notes all that its hooks can see."""
    app = Flask("application.seen")  # its logger is switched off
    app.secret_key = "a key for tests"
    app.config["PROPAGATE_EXCEPTIONS"] = False
    ws = GreenWS(app)

    class Door(Endpoint):
        def on_open(self, conn, **values):
            seen.append(("view", values, request.args.to_dict(), g.number))

    class Fail(Endpoint):
        def on_open(self, conn):
            raise KeyError("on purpose")

    ws.route("/door", endpoint="door")(Door)
    ws.route("/room/<int:name>", endpoint="room")(Door)
    ws.route("/hall/", endpoint="hall")(Door)
    ws.route("/fail", endpoint="fail")(Fail)

    @app.before_request
    def before():
        g.number = len(seen)
        session["last"] = request.path
        rule = request.url_rule and request.url_rule.rule
        seen.append((rule, request.endpoint, request.view_args, request.host, request.full_path, request.is_secure))
        seen.append((url_for("room", name=7), url_for("door", _external=True), repr(request.routing_exception)))
        if "refuse" in request.args:
            return "no", 403
        return None

    @app.after_request
    def after(response):
        seen.append((response.status, session.get("last")))
        response.headers["X-Number"] = str(g.number)
        return response

    app.teardown_request(lambda error: seen.append(("request", repr(error))))
    app.teardown_appcontext(lambda error: seen.append(("app", g.number)))
    return app


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/door", 101),
        ("/door?a=b&c=%C3%A9", 101),
        ("/%64oor", 101),
        ("/door?refuse", 403),
        ("/door/", 404),
        ("//door", 101),
        ("/room/5?x=1", 101),
        ("/room/five", 404),
        ("/hall/", 101),
        ("/hall?x=1", 308),
        ("/fail", 500),
        ("/nowhere", 404),
    ],
)
def test_hooks_and_peers_see_the_same(path, status, monkeypatch):
    ours, flasks = [], []
    for seen, knows in ((ours, True), (flasks, False)):
        assert dispatch._KNOWS_CONTEXT or not knows
        monkeypatch.setattr(dispatch, "_KNOWS_CONTEXT", knows)
        app = make(seen)
        app.logger.disabled = True
        errors = []
        note = got_request_exception.connect(
            lambda sender, exception, errors=errors: errors.append(repr(exception)), app
        )
        for _ in range(2):  # the first looks for the rule, the second knows it
            head, body = handshake(app, path)
            lines = [
                line for line in head.decode().split("\r\n") if not line.startswith(("Set-Cookie: session=", "Date: "))
            ]
            seen.append((lines, len(head), body, errors))
        del note
    assert ours == flasks
    assert ours[-1][0][0].startswith(f"HTTP/1.1 {status} ")


class Called:
    """A hook that is no function."""

    def __init__(self, note):
        self._note = note

    def __call__(self, *args):
        self._note("object", *args)
        return args[0] if args else None


class Told(Exception):
    pass


def make_many(seen):
    """An application with all kinds of hooks, none of which hears of a request's end."""
    app = Flask("application.seen")
    app.secret_key = "a key for tests"
    ws = GreenWS(app)
    outer, inner = Blueprint("outer", "application.outer"), Blueprint("inner", "application.inner", url_prefix="/in")

    def note(*what):
        seen.append((*map(repr, what), request.endpoint, dict(session)))

    def refuse():
        note("refuse")
        if request.args.get("at") == request.blueprint:
            raise Told(request.blueprint)

    def late(response):
        response.headers.add("X-Late", "yes")
        return response

    def mark():
        after_this_request(late)
        session.setdefault("n", 0)

    for place in (app, outer, inner):
        name = getattr(place, "import_name", None)
        place.before_request(partial(note, "partial", name))
        place.before_request(Called(note))
        place.before_request(refuse)
        place.after_request(Called(lambda what, response, name=name: note(what, name)))
        place.after_request(Called(lambda what, response, name=name: note(what, name, "again")))
        place.url_value_preprocessor(lambda endpoint, values, name=name: note("values", name, endpoint, values))
    app.before_request(mark)
    app.register_error_handler(Told, lambda error: (f"told {error}", 418))

    for place, rule in ((app, "/top"), (outer, "/outer"), (inner, "/inner/<name>")):

        class Door(Endpoint):
            def on_open(self, conn, **values):
                note("view", values)
                if "answer" in request.args:
                    return "no", 402, {"Vary": "Origin"}
                return None

        ws.route(rule, bp=None if place is app else place, endpoint="door")(Door)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


@pytest.mark.parametrize("where", ["/top", "/outer", "/in/inner/me", "/nowhere"])
@pytest.mark.parametrize("query", ["", "?answer", "?at=outer", "?at=outer.inner", "?at"])
def test_all_kinds_of_hooks_run_as_in_flask(where, query, monkeypatch):
    ours, flasks = [], []
    for seen, knows in ((ours, True), (flasks, False)):
        monkeypatch.setattr(dispatch, "_KNOWS_CONTEXT", knows)
        app = make_many(seen)
        for _ in range(2):
            head, body = handshake(app, where + query)
            lines = [line.partition("Date: ")[0] for line in head.decode().split("\r\n")]
            seen.append(([line.partition("session=")[0] for line in lines], body))
        assert not has_request_context()
        assert not has_app_context()
    assert ours == flasks
    assert len(ours) > (2 if where == "/nowhere" else 10)


def test_signals_are_sent_as_in_flask(app, ws):
    ws.route("/door", endpoint="door")(Endpoint)
    app.before_request(lambda: None)
    assert handshake(app, "/door")[0].startswith(b"HTTP/1.1 101")
    signals = [
        flask.appcontext_pushed,
        flask.request_started,
        flask.request_finished,
        flask.request_tearing_down,
        flask.appcontext_tearing_down,
        flask.appcontext_popped,
    ]
    seen = []
    notes = [
        signal.connect(lambda sender, name=signal.name, **given: seen.append((name, *given)), app, weak=False)
        for signal in signals
    ]
    try:
        assert handshake(app, "/door")[0].startswith(b"HTTP/1.1 101")
    finally:
        for signal, note in zip(signals, notes, strict=True):
            signal.disconnect(note)  # of a sender alone it would stay listed
    assert seen[0] == ("appcontext-pushed",)
    assert [name for name, *_ in seen] == [signal.name for signal in signals]
    assert [given for _, *given in seen[1:5]] == [[], ["response"], ["exc"], ["exc"]]


def test_flask_is_asked_only_where_it_must_be(app, ws, monkeypatch):
    callers = []

    @ws.route("/door", endpoint="door")
    class Door(Endpoint):
        def on_open(self, conn):
            callers.append({frame.name for frame in traceback.extract_stack()} & {"wsgi_app", "full_dispatch_request"})

    handshake(app, "/door")
    monkeypatch.setattr(app, "make_response", app.make_response)
    handshake(app, "/door")
    assert callers == [set(), {"full_dispatch_request"}]


@pytest.mark.parametrize("knows", [True, False])
def test_a_context_that_a_hook_leaves_behind_is_an_error(knows, app, ws, monkeypatch):
    monkeypatch.setattr(dispatch, "_KNOWS_CONTEXT", knows)
    app.before_request(lambda: app.app_context().push())
    ws.route("/door", endpoint="door")(Endpoint)
    environ = {**EnvironBuilder("/door").get_environ(), "HTTP_UPGRADE": "websocket"}
    with pytest.raises(AssertionError, match=r"[Pp]opped"):
        Context().run(app.wsgi_app, environ, lambda *args: None)


def test_an_asynchronous_hook_is_flasks_to_run(app, ws, monkeypatch):
    made = []

    async def before():
        raise AssertionError("nobody awaits it")

    def run(app, function):
        made.append(function)
        return lambda: None

    monkeypatch.setattr(Flask, "async_to_sync", run)  # what needs asgiref
    app.before_request(before)
    ws.route("/door", endpoint="door")(Endpoint)
    assert handshake(app, "/door")[0].startswith(b"HTTP/1.1 101")
    assert made == [before]


def test_each_request_has_an_adapter_of_its_own(app, ws, connect):
    found = []

    @ws.route("/door")
    class Door(Endpoint):
        def on_open(self, conn):
            found.append(request_adapter())

    for query in ("a=1", "b=2"):
        with connect(f"/door?{query}"):
            pass
    first, second = found
    assert first is not second
    assert (first.query_args, second.query_args) == ("a=1", "b=2")


def request_adapter():
    from flask.globals import request_ctx

    return request_ctx.url_adapter


def test_nothing_of_one_101_is_in_another():
    first, second = UpgradeResponse([("Upgrade", "websocket")]), UpgradeResponse([])
    plain = Response(status=101)
    assert vars(first).keys() == vars(plain).keys()
    for name, value in vars(first).items():
        assert value is not vars(second)[name] or isinstance(value, (str, int, type(None))), name
    assert (first.status, first.status_code, first.get_data()) == (plain.status, 101, b"")


def test_a_middleware_below_us_is_asked(app):
    inner, paths = app.wsgi_app, []

    def middleware(environ, start_response):
        paths.append(environ["PATH_INFO"])
        return inner(environ, start_response)

    app.wsgi_app = middleware
    GreenWS(app).route("/door", endpoint="door")(Endpoint)
    assert handshake(app, "/door")[0].startswith(b"HTTP/1.1 101")
    assert paths == ["/door"]


def test_a_request_context_of_ones_own_is_made():
    made = []

    class Own(Flask):
        def request_context(self, environ):
            made.append(environ["PATH_INFO"])
            return super().request_context(environ)

    app = Own("application")
    GreenWS(app).route("/door", endpoint="door")(Endpoint)
    assert handshake(app, "/door")[0].startswith(b"HTTP/1.1 101")
    assert made == ["/door"]


class Transparent:
    """Stands around a method and passes itself off as it, as the wrappers of tools that watch do."""

    def __init__(self, wrapped, called):
        self._wrapped = wrapped
        self._called = called

    def __get__(self, instance, owner):
        return Transparent(self._wrapped.__get__(instance, owner), self._called)

    def __getattr__(self, name):
        return getattr(self._wrapped, name)

    def __eq__(self, other):
        return self._wrapped == other

    def __hash__(self):
        return hash(self._wrapped)

    def __call__(self, *args, **options):
        self._called.append(self._wrapped.__name__)
        return self._wrapped(*args, **options)


STEPS = (
    "full_dispatch_request",
    "preprocess_request",
    "dispatch_request",
    "ensure_sync",
    "finalize_request",
    "make_response",
    "process_response",
    "app_context",
    "do_teardown_request",
    "do_teardown_appcontext",
)


@pytest.mark.parametrize("name", ["wsgi_app", "request_context", "create_url_adapter", *STEPS])
def test_who_stands_around_a_method_of_flasks_is_asked_however_like_it_they_look(name, monkeypatch):
    called = []
    monkeypatch.setattr(Flask, name, Transparent(vars(Flask)[name], called))
    app = Flask("application")
    app.before_request(lambda: None)
    GreenWS(app).route("/door", endpoint="door")(Endpoint)
    for _ in range(2):
        called.clear()
        assert handshake(app, "/door")[0].startswith(b"HTTP/1.1 101")
        assert name in called


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (RequestContext, "push"),
        (RequestContext, "pop"),
        (RequestContext, "match_request"),
        (AppContext, "__init__"),
        (AppContext, "push"),
        (AppContext, "pop"),
        (Request, "__init__"),
        (Request, "close"),
        (SecureCookieSessionInterface, "save_session"),
        (werkzeug.sansio.response.Response, "set_cookie"),
    ],
)
def test_so_is_who_does_that_elsewhere_in_flask(owner, name, monkeypatch):
    called, method = [], getattr(owner, name)

    def watch(*args, **options):
        called.append(name)
        return method(*args, **options)

    app = Flask("application")
    app.secret_key = "a key for tests"
    app.before_request(lambda: session.update(user="me"))
    GreenWS(app).route("/door", endpoint="door")(Endpoint)
    assert b"Set-Cookie" in handshake(app, "/door")[0]
    monkeypatch.setattr(owner, name, watch)
    for _ in range(2):
        called.clear()
        assert b"Set-Cookie" in handshake(app, "/door")[0]
        assert name in called


def test_the_request_may_be_copied_for_a_greenlet(app, ws, connect):
    @ws.route("/door")
    class Door(Endpoint):
        def on_open(self, conn):
            session["user"] = "me"
            look = copy_current_request_context(lambda: (request.path, request.endpoint, session["user"]))
            conn.seen = gevent.spawn(look)

        def on_message(self, conn, message):
            conn.send(repr(conn.seen.get()))

    for _ in range(2):
        with connect("/door") as peer:
            peer.send("?")
            assert peer.receive(5) == "('/door', 'Door', 'me')"


@pytest.mark.skipif("TRUSTED_HOSTS" not in Flask.default_config, reason="this Flask has no TRUSTED_HOSTS")
@pytest.mark.parametrize(("host", "status"), [("localhost", 101), ("evil.example", 400)])
def test_a_hook_gets_no_host_that_is_not_trusted(app, host, status):
    app.config["TRUSTED_HOSTS"] = ["localhost"]
    GreenWS(app).route("/door", endpoint="door")(Endpoint)
    hosts = []

    @app.before_request
    def before():
        assert request.trusted_hosts == ["localhost"]
        hosts.append(request.host)

    assert handshake(app, "/door", host=host)[0].startswith(b"HTTP/1.1 %d" % status)
    assert hosts == ["localhost"] * (status == 101)


def test_a_decorator_in_front_of_a_lean_view_is_not_passed_by(app, ws, refusal):
    from functools import wraps

    ws.route("/lean", endpoint="lean", request_context=False)(Endpoint)
    view = app.view_functions["lean"]

    @wraps(view)
    def no_entry(**values):
        return "no", 401

    app.view_functions["lean"] = no_entry
    assert refusal("/lean").status_code == 401
