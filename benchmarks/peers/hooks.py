"""What runs for an upgrade in the Flask applications, ours and others'."""

from __future__ import annotations

from flask import Flask, g, session
from flask.sessions import SecureCookieSessionInterface


def add_hooks(app: Flask, user: bool, visits: bool) -> None:
    """Adds a ``before_request`` that reads the user from the session, and one that writes to it at each upgrade."""
    app.secret_key = "not a secret"

    def find_user() -> None:
        g.user = session.get("user")

    def count_visits() -> None:
        session["visits"] = session.get("visits", 0) + 1

    if user or visits:
        app.before_request(find_user)
    if visits:
        app.before_request(count_visits)


def sign_in() -> str:
    """Returns the session cookie of a user."""
    app = Flask(__name__)
    add_hooks(app, user=False, visits=False)
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return str(serializer.dumps({"user": "someone"}))
