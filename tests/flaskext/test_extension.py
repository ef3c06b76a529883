"""GreenWS as an extension: its settings, several applications, and what it keeps where."""

from __future__ import annotations

import gc
import weakref

import gevent
import pytest
from flask import Flask

from greenws import ConfigError, Endpoint, GreenWS
from greenws.flaskext.testing import UpgradeRefused


def echo(conn):
    for message in conn:
        conn.send(message)


def test_the_state_is_in_the_application_and_the_extension_keeps_none_alive():
    app = Flask("application")
    ws = GreenWS(app)
    assert app.extensions["greenws"].app is app
    alive = weakref.ref(app)
    del app
    gc.collect()
    assert alive() is None
    ws.route("/")(echo)


def test_one_object_serves_two_applications(connect):
    ws = GreenWS()
    ws.route("/before")(echo)
    apps = [Flask(name) for name in ("one", "two")]
    ws.init_app(apps[0])
    ws.init_app(apps[1], max_message_size=5)
    ws.route("/after", endpoint="after")(echo)
    for app in apps:
        for path in ("/before", "/after"):
            with app.extensions["greenws"].test_client().connect(path) as peer:
                peer.send("12345")
                assert peer.receive(5) == "12345"
    with apps[1].extensions["greenws"].test_client().connect("/before") as peer:
        peer.send("123456")
        assert peer.wait_closed(5)
        assert peer.close_code == 1009


def test_connections_are_those_of_the_current_application():
    ws = GreenWS()
    ws.route("/")(echo)
    apps = [Flask(name) for name in ("one", "two")]
    for app in apps:
        ws.init_app(app)
    with apps[0].extensions["greenws"].test_client().connect("/"):
        counts = []
        for app in apps:
            with app.app_context():
                counts.append(len(list(ws.connections)))
    assert counts == [1, 0]
    with pytest.raises(RuntimeError, match="application context"):
        ws.connections  # noqa: B018


def test_an_application_has_one_greenws(app, ws):
    with pytest.raises(ConfigError, match="already"):
        ws.init_app(app)
    with pytest.raises(ConfigError, match="already"):
        GreenWS(app)


def test_settings_come_from_the_configuration_and_options_win():
    app = Flask("application")
    app.config.update(GREENWS_MAX_MESSAGE_SIZE=10, GREENWS_PING_INTERVAL=None, GREENWS_ORIGINS=["https://a.example"])
    ws = GreenWS(max_message_size=20)
    ws.init_app(app, inbox_size=3)
    config = app.extensions["greenws"].config
    assert (config.max_message_size, config.ping_interval, config.inbox_size) == (20, None, 3)
    assert config.origins == ("https://a.example",)


@pytest.mark.parametrize(
    "options",
    [
        {"max_message_size": 0},
        {"max_message_size": -1},
        {"max_message_size": 1.5},
        {"max_message_size": True},
        {"max_message_size": None},
        {"ping_interval": "20"},
        {"ping_interval": float("nan")},
        {"close_timeout": float("inf")},
        {"origins": "https://a.example"},
        {"origins": [1]},
        {"max_mesage_size": 10},
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_named(options):
    (name,) = options
    with pytest.raises(ConfigError, match=name) as caught:
        GreenWS(Flask("application"), **options)
    assert isinstance(caught.value, ValueError)
    if name == "max_mesage_size":
        return
    app = Flask("application")
    app.config[f"GREENWS_{name.upper()}"] = options[name]
    with pytest.raises(ConfigError, match=name):
        GreenWS(app)
    assert "greenws" not in app.extensions


def test_at_max_connections_an_upgrade_gets_503_with_retry_after():
    app = Flask("application")
    ws = GreenWS(app, max_connections=2)
    ws.route("/")(echo)
    ws.route("/lean", endpoint="lean", request_context=False)(echo)
    app.get("/page", endpoint="page")(lambda: "page")
    client = app.extensions["greenws"].test_client()
    with client.connect("/"), client.connect("/lean"):
        for path in ("/", "/lean"):
            with pytest.raises(UpgradeRefused) as caught, client.connect(path):
                pass
            assert caught.value.response.status_code == 503
            assert int(caught.value.response.headers["Retry-After"]) > 0
        assert app.test_client().get("/page").status_code == 200
    gevent.idle()
    with client.connect("/"):  # there is room again
        pass
    del caught


@pytest.mark.parametrize("style", ["event", "blocking", "lean"])
def test_max_connections_holds_for_upgrades_that_come_together(style):
    app = Flask("application")
    ws = GreenWS(app, max_connections=3)
    go_on = gevent.event.Event()

    if style == "blocking":
        ws.route("/")(echo)
    else:

        @ws.route("/", request_context=style != "lean")
        class Slow(Endpoint):
            def on_open(self, conn):
                go_on.wait(5)  # a look-up in a database

    client = app.extensions["greenws"].test_client()
    stay = gevent.event.Event()
    outcomes = []

    def connect():
        try:
            with client.connect("/"):
                outcomes.append(101)
                stay.wait(10)
        except UpgradeRefused as error:
            outcomes.append(error.status)

    greenlets = [gevent.spawn(connect) for _ in range(10)]
    gevent.idle()
    go_on.set()
    gevent.idle()
    assert sorted(outcomes) == [101] * 3 + [503] * 7
    stay.set()
    gevent.joinall(greenlets, timeout=5, raise_error=True)
    with client.connect("/"):  # nothing stays reserved
        pass


def test_refused_and_failed_upgrades_take_no_place():
    app = Flask("application")
    ws = GreenWS(app, max_connections=1)
    answers = []

    @ws.route("/")
    class Door(Endpoint):
        def on_open(self, conn):
            return answers.pop() if answers else None

    client = app.extensions["greenws"].test_client()
    for _ in range(5):
        answers.append(("no", 403))
        with pytest.raises(UpgradeRefused), client.connect("/"):
            pass
        gevent.idle()
    with client.connect("/"):
        pass
