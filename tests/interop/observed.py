"""An echo whose metrics are where the environment says."""

from __future__ import annotations

import os

from flask import Flask

from greenws import GreenWS
from tests.interop.app import Echo


def create_app() -> Flask:
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "plain", endpoint="index")
    GreenWS(app, metrics=os.environ["METRICS"]).route("/event")(Echo)
    return app
