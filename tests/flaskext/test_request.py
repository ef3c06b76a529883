"""Requests of upgrades, beside those that werkzeug makes."""

from __future__ import annotations

import pytest
from flask import Flask, Request

from greenws.flaskext import request as ours
from greenws.flaskext.request import make_request

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "wsgi.url_scheme": "https",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "8000",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/chat",
    "QUERY_STRING": "room=7",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_HOST": "a.example",
    "HTTP_COOKIE": "b=c",
}


def test_what_pep_3333_forbids_is_read_as_werkzeug_reads_it():
    for name in ("SCRIPT_NAME", "PATH_INFO"):
        environ = {**ENVIRON, name: None}
        made = make_request(Flask("application"), environ)
        del environ["werkzeug.request"]
        assert vars(made) == vars(Request(environ))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"REQUEST_METHOD": "POST"},
        {"REQUEST_METHOD": "get"},
        {"SCRIPT_NAME": "/mounted/"},
        {"SCRIPT_NAME": "/\xc3\xa9"},
        {"PATH_INFO": ""},
        {"PATH_INFO": "//chat"},
        {"PATH_INFO": "/\xc3\xa9"},
        {"PATH_INFO": "/\xff"},
        {"QUERY_STRING": ""},
        {"QUERY_STRING": "a=\xe9"},
        {"SERVER_PORT": ""},
        {"SERVER_PORT": "²"},
        {"SERVER_PORT": "-1"},
        {"SERVER_NAME": "/run/socket", "SERVER_PORT": None},
        {"SERVER_PORT": 8000},
        {"SERVER_NAME": None},
        {"SCRIPT_NAME": None},
        {"REMOTE_ADDR": None},
        {"wsgi.url_scheme": "http"},
    ],
)
def test_it_is_the_one_that_werkzeug_makes(change):
    environ = {name: value for name, value in {**ENVIRON, **change}.items() if value is not None}
    made = make_request(Flask("application"), environ)
    assert type(made) is Request
    assert environ.pop("werkzeug.request") is made
    assert vars(made) == vars(Request(environ))
    assert (made.host, made.cookies.to_dict()) == ("a.example", {"b": "c"})


def test_it_is_made_without_asking_werkzeug(monkeypatch):
    app = Flask("application")
    monkeypatch.setattr(Request, "__init__", None)
    assert make_request(app, dict(ENVIRON)).path == "/chat"  # who has patched it is known before


def test_a_class_of_ones_own_is_asked(monkeypatch):
    class Own(Request):
        pass

    app = Flask("application")
    app.request_class = Own
    assert type(make_request(app, dict(ENVIRON))) is Own


def test_so_is_a_version_of_werkzeug_that_is_not_known(monkeypatch):
    def init(self, environ):
        self.new = environ

    monkeypatch.setattr(Request, "__init__", init)
    assert not ours._is_known()
