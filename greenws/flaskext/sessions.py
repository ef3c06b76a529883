"""Flask's sessions in signed cookies, read and written for less than Flask takes. What they mean is Flask's alone.

Flask makes a serializer to read a session and once more to write it. itsdangerous makes a signer each time, and derives
its key. werkzeug makes a dictionary of all cookies to find one.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin, session_json_serializer
from itsdangerous import BadSignature, Signer, TimestampSigner, URLSafeTimedSerializer, want_bytes
from itsdangerous.encoding import base64_decode, base64_encode, bytes_to_int


class KeptSessions(SecureCookieSessionInterface):
    """Flask's own sessions in cookies, with a serializer that is kept."""

    def __init__(self) -> None:
        self._made_of: tuple[Any, ...] | None = None
        self._serializer: URLSafeTimedSerializer | None = None

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Returns the serializer of the application's keys; None without a key."""
        keys = app.secret_key, *(app.config.get("SECRET_KEY_FALLBACKS") or ())
        made_of = keys, self.salt, self.digest_method, self.key_derivation, self.serializer
        if made_of != self._made_of:
            self._serializer = serializer = super().get_signing_serializer(app)
            if type(serializer) is URLSafeTimedSerializer:
                serializer.__class__ = _KeptSerializer
                serializer.signer = _KeptSigner
            self._made_of = made_of
        return self._serializer

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Returns the session of the request's cookie, an empty one without a valid cookie, None without a key."""
        if type(request).cookies is not Request.cookies:
            return super().open_session(app, request)
        serializer = self.get_signing_serializer(app)
        if serializer is None:
            return None
        cookies = request.environ.get("HTTP_COOKIE")
        if cookies is None:
            return self.session_class()
        name = self.get_cookie_name(app)
        found = _plain_cookie(name)(cookies)
        value = request.cookies.get(name) if found is None else found[1]
        if not value:
            return self.session_class()
        max_age = int(app.permanent_session_lifetime.total_seconds())
        try:
            if type(serializer) is _KeptSerializer:
                data = serializer.read(value, max_age, app.json.loads)
            else:
                data = serializer.loads(value, max_age=max_age)
        except BadSignature:
            return self.session_class()
        return self.session_class(data)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Writes the session's cookie, if it is to be written, and says that the answer depends on it, if it does."""
        accessed = session.accessed  # in Flask 3.0 the next line does that
        if session.modified or session.permanent or any(name.lower() == "vary" for name, _ in response.headers):
            session.accessed = accessed
            super().save_session(app, session, response)
        elif accessed:
            response.headers.add("Vary", "Cookie")


def keep_sessions(app: Flask) -> None:
    """Gives the application sessions that are kept, if those that it has are Flask's own, as they come."""
    interface = app.session_interface
    if type(interface) is SecureCookieSessionInterface and not vars(interface):
        app.session_interface = KeptSessions()


@lru_cache(8)
def _plain_cookie(name: str) -> Any:
    """Returns what finds the cookie of this name, where no cookie up to it has anything that is read in two ways."""
    name = re.escape(name)
    return re.compile(rf"(?:(?!{name}=)[\w.-]+=[\w.%+/:=-]*; )*{name}=([\w.-]+)(?:;|\Z)", re.ASCII).match


class _KeptSigner(TimestampSigner):
    """A signer that derives its key once, and sees at once what it has signed itself."""

    _keyed: Any = None

    def get_signature(self, value: str | bytes) -> bytes:
        """As itsdangerous'."""
        if self._keyed is None:
            self._keyed = hmac.new(self.derive_key(), digestmod=self.digest_method)
        mac = self._keyed.copy()
        mac.update(want_bytes(value))
        return base64_encode(mac.digest())

    def read(self, signed: bytes, max_age: int) -> bytes | None:
        """Returns what was signed, by the newest key and no longer ago than ``max_age`` seconds.

        Of anything else itsdangerous says what it is; then this is None.
        """
        value, _, signature = signed.rpartition(self.sep)
        if not hmac.compare_digest(signature, self.get_signature(value)):
            return None
        payload, _, timestamp = value.rpartition(self.sep)
        try:
            age = self.get_timestamp() - bytes_to_int(base64_decode(timestamp))
        except Exception:
            return None
        return payload if 0 <= age <= max_age else None


_PLAIN = frozenset((str, int, float, bool, type(None)))  # in which nothing can be that has a tag


class _KeptSerializer(URLSafeTimedSerializer):
    """A serializer that makes one signer."""

    _kept: Any = None

    def make_signer(self, salt: str | bytes | None = None) -> Signer:
        """As itsdangerous'."""
        if salt is not None and salt != self.salt:
            return super().make_signer(salt)
        if self._kept is None:
            self._kept = super().make_signer(salt)
        return self._kept  # type: ignore[no-any-return]

    def read(self, signed: str, max_age: int, loads: Callable[[str], Any]) -> Any:
        """Returns what ``self.loads(signed, max_age=max_age)`` does, and raises that.

        Args:
            signed: a cookie's value.
            max_age: in seconds.
            loads: of the application's JSON.
        """
        signer: Any = self.make_signer()
        payload = signer.read(signed.encode(), max_age)
        if payload is not None and self.serializer is session_json_serializer and payload[:1] != b".":  # not compressed
            try:
                data = loads(base64_decode(payload).decode())
            except ValueError:
                data = None
            if type(data) is dict and not any(key in session_json_serializer.tags for key in data):
                if all(map(_PLAIN.__contains__, map(type, data.values()))):
                    return data
        return self.loads(signed, max_age=max_age)
