"""Which rule of the application an upgrade request meets, remembered for each host.

werkzeug makes a URL adapter for each request, which takes four times as long as to match a rule with it; and most
clients ask for the same few hosts and paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from flask import Flask, Request
from werkzeug.routing import MapAdapter, Rule

from greenws.flaskext.steps import is_flasks
from greenws.protocol.http import RequestHead

MAX_ADAPTERS = 128  # URL adapters kept; a client may ask for any host
# What ``werkzeug.routing.Map.bind_to_environ`` reads, but for the path, the query and the method.
_ADAPTER_DEPENDS_ON = (
    "HTTP_HOST",
    "wsgi.url_scheme",
    "SCRIPT_NAME",
    "HTTP_CONNECTION",
    "HTTP_UPGRADE",
    "SERVER_NAME",
    "SERVER_PORT",
)
_read_all = itemgetter(*_ADAPTER_DEPENDS_ON)


class Bound(MapAdapter):
    """werkzeug's adapter for one request, which remembers what its path has met.

    A rule that is the very path is looked for once for each host: no rule goes before it, and none is ever removed.
    """

    known: dict[str, Rule]

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """As werkzeug's."""
        if args or kwargs != {"return_rule": True} or self.default_method != "GET":
            return super().match(*args, **kwargs)
        if (rule := self.known.get(self.path_info)) is not None:
            return rule, {}
        rule, values = super().match(return_rule=True)
        if rule.rule == self.path_info and not values:
            self.known[rule.rule] = rule
        return rule, values


class Routing:
    """An application's URL adapters. SERVER_NAME, subdomains and TRUSTED_HOSTS mean here what they mean for pages."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._kept: dict[tuple[Any, ...], dict[str, Any]] = {}

    def bind(self, environ: dict[str, Any], request: Request | None = None) -> MapAdapter:
        """Returns what Flask's ``create_url_adapter`` does for this request.

        Args:
            environ: of the request.
            request: made of it; it is told the hosts that are trusted. None where nobody will see it.

        Raises:
            HTTPException: the request's host is none, or not one that is trusted.
        """
        app = self._app
        if app.config.get("TRUSTED_HOSTS") is not None or not is_flasks(app.create_url_adapter):
            return self._make(environ, request)
        try:
            key = (app.config["SERVER_NAME"], _read_all(environ))
        except KeyError:  # a client of HTTP/1.0, or a server that is not ours
            key = (app.config["SERVER_NAME"], tuple(map(environ.get, _ADAPTER_DEPENDS_ON)))
        kept = self._kept.get(key)
        if kept is None:
            kept = {**vars(self._make(environ, request)), "known": {}}
            if len(self._kept) >= MAX_ADAPTERS:
                self._kept.clear()
            self._kept[key] = kept
        adapter = Bound.__new__(Bound)
        vars(adapter).update(kept)
        adapter.path_info = _decode(environ.get("PATH_INFO", ""))
        adapter.query_args = _decode(environ.get("QUERY_STRING", ""))
        adapter.default_method = environ["REQUEST_METHOD"]
        return adapter

    def _make(self, environ: dict[str, Any], request: Request | None) -> MapAdapter:
        adapter = self._app.create_url_adapter(request or self._app.request_class(environ))
        assert adapter is not None
        return adapter

    def find_known(self, head: RequestHead, environ: Mapping[str, Any]) -> str | None:
        """Returns the endpoint of an upgrade's path, if it has been met without values. Needs no environ of its own.

        Args:
            head: the request.
            environ: what the server gives with each request.
        """
        path = head.path
        kept = self._kept.get((self._app.config["SERVER_NAME"], _read_all_of(head, environ)))
        if kept is None or "%" in path:
            return None
        rule = kept["known"].get(path)
        return None if rule is None else str(rule.endpoint)


def _read_all_of(head: RequestHead, environ: Mapping[str, Any]) -> tuple[Any, ...]:
    """Returns what ``_read_all`` does of the environ that will be made of a request's head."""
    return (
        head.get("host"),
        environ["wsgi.url_scheme"],
        "",
        head.get("connection"),
        head.get("upgrade"),
        environ["SERVER_NAME"],
        environ["SERVER_PORT"],
    )


def _decode(text: str) -> str:
    """As werkzeug reads an environ (PEP 3333: bytes in latin-1's clothes)."""
    return text if text.isascii() else text.encode("latin-1").decode(errors="replace")
