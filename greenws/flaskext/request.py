"""Flask's request objects of upgrades, made for less than werkzeug takes."""

from __future__ import annotations

from typing import Any

from flask import Flask, Request
from werkzeug.datastructures import EnvironHeaders


def make_request(app: Flask, environ: dict[str, Any]) -> Request:
    """Does what ``app.request_class(environ)`` does, where nobody has changed what werkzeug and Flask do there."""
    if app.request_class is not Request or not _IS_KNOWN:
        return app.request_class(environ)
    return _make(environ) or Request(environ)


def _make(environ: dict[str, Any]) -> Request | None:
    """Returns what werkzeug makes of an environ in which it has nothing to decode; else None."""
    try:
        method, scheme, address = environ["REQUEST_METHOD"], environ["wsgi.url_scheme"], environ["REMOTE_ADDR"]
        name, port = environ["SERVER_NAME"], environ["SERVER_PORT"]
        script, path, query = environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"]
        is_plain = script.isascii() and path.isascii() and query.isascii() and port.isdecimal()
    except (KeyError, AttributeError):  # a server that is not ours, or a middleware
        return None
    if method != "GET" or not is_plain:
        return None
    request = Request.__new__(Request)
    request.__dict__ = {
        "method": method,
        "scheme": scheme,
        "server": (name, int(port)),
        "root_path": script.rstrip("/"),
        "path": "/" + path.lstrip("/"),
        "query_string": query.encode(),
        "headers": EnvironHeaders(environ),
        "remote_addr": address,
        "environ": environ,
        "shallow": False,
    }
    environ["werkzeug.request"] = request
    return request


def _is_known() -> bool:
    """Whether this version of werkzeug makes the same as we do."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "wsgi.url_scheme": "http",
        "SERVER_NAME": "a.example",
        "SERVER_PORT": "8000",
        "SCRIPT_NAME": "/b/",
        "PATH_INFO": "//c",
        "QUERY_STRING": "d=e",
        "REMOTE_ADDR": "127.0.0.1",
    }
    made = _make(environ)
    return made is not None and environ.pop("werkzeug.request") is made and vars(made) == vars(Request(environ))


_IS_KNOWN = _is_known()
