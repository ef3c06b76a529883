"""An echo whose metrics are where the environment says."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask

from greenws import GreenWS
from greenws.compat.flask_sock import Sock
from tests.interop.app import Echo


def create_app() -> Flask:
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "plain", endpoint="index")
    GreenWS(app, metrics=os.environ["METRICS"]).route("/event")(Echo)
    return app


def create_sock_app() -> Flask:
    """The same, written for Flask-Sock."""
    app = Flask(__name__)
    app.config["GREENWS_METRICS"] = os.environ["METRICS"]

    @Sock(app).route("/event")
    def echo(ws: Any) -> None:
        while True:
            ws.send(ws.receive())

    return app
