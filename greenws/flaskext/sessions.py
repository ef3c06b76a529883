"""Flask's sessions in signed cookies, read and written for less than Flask takes. What they mean is Flask's alone.

Flask makes a serializer to read a session and once more to write it. itsdangerous makes a signer each time, and derives
its key, and a compressor for texts of any length. werkzeug makes a dictionary of all cookies to find one, and puts
together anew what stands behind the value of each that is set.
"""

from __future__ import annotations

import hmac
import inspect
import re
import zlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from json import JSONDecoder, JSONEncoder
from typing import Any

from flask import Flask, Request, Response
from flask.json.provider import DefaultJSONProvider
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin, session_json_serializer
from itsdangerous import BadSignature, Signer, TimestampSigner, URLSafeTimedSerializer, want_bytes
from werkzeug.http import dump_cookie

from greenws.flaskext.steps import is_flasks

# Flask 3.1 and werkzeug 3.1 put the same attributes behind a session's cookie. What others put there is left to them.
_KNOWS_COOKIES = (
    hasattr(SecureCookieSessionInterface, "get_cookie_partitioned")
    and "partitioned" in inspect.signature(dump_cookie).parameters
    and is_flasks(Response.set_cookie, "werkzeug.sansio.response")
    and is_flasks(SecureCookieSessionInterface.save_session, "flask.sessions")
)
_SAVE_SESSION, _SET_COOKIE = SecureCookieSessionInterface.save_session, Response.set_cookie
_MAX_SIZE: Any = Response.max_cookie_size


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

    def is_null_session(self, obj: object) -> bool:
        """As Flask's, for which an abstract class is asked."""
        return type(obj) is not SecureCookieSession and super().is_null_session(obj)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Returns the session of the request's cookie, an empty one without a valid cookie, None without a key."""
        if type(request) is not Request and type(request).cookies is not Request.cookies:
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
                data = serializer.read(value, max_age, app.json)
            else:
                data = serializer.loads(value, max_age=max_age)
        except BadSignature:
            return self.session_class()
        return self.session_class(data)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Writes the session's cookie, if it is to be written, and says that the answer depends on it, if it does."""
        if type(session) is SecureCookieSession and not _varies(response):
            is_permanent = dict.get(session, "_permanent", False)  # without a mark that somebody has looked
            if not session.modified and not is_permanent:
                if session.accessed:
                    response.headers.add("Vary", "Cookie")
                return
            if session.accessed and self._set_cookie(app, session, response):
                return
        super().save_session(app, session, response)

    def _set_cookie(self, app: Flask, session: SecureCookieSession, response: Response) -> bool:
        """Does so at once for an ordinary response. Returns whether it did."""
        kind = type(response)
        if not session or not _KNOWS_COOKIES or SecureCookieSessionInterface.save_session is not _SAVE_SESSION:
            return False
        if (
            kind.set_cookie is not _SET_COOKIE
            or kind.max_cookie_size is not _MAX_SIZE
            or "set_cookie" in vars(response)
        ):
            return False
        serializer = self.get_signing_serializer(app)
        if type(serializer) is not _KeptSerializer or not self.should_set_cookie(app, session):
            return False
        name, expires = self.get_cookie_name(app), self.get_expiration_time(app, session)
        value = serializer.write(dict(session), app.json)
        start, rest = _around_cookie(
            name,
            None if expires is None else expires.replace(microsecond=0),
            self.get_cookie_domain(app),
            self.get_cookie_path(app),
            self.get_cookie_secure(app),
            self.get_cookie_partitioned(app),
            self.get_cookie_samesite(app),
            self.get_cookie_httponly(app),
        )
        cookie = f"{start}{value}{rest}"
        most = app.config["MAX_COOKIE_SIZE"]
        if most and len(cookie) > most:
            return False  # werkzeug warns
        response.headers.add("Vary", "Cookie")
        response.headers.add("Set-Cookie", cookie)
        return True


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


@lru_cache(64, typed=True)  # one for each second, where sessions expire
def _around_cookie(
    name: str,
    expires: datetime | None,
    domain: str | None,
    path: str,
    secure: bool,
    partitioned: bool,
    samesite: str | None,
    httponly: bool,
) -> tuple[str, str]:
    """Returns what stands before the value of a cookie that needs no quotes, and behind it."""
    empty = dump_cookie(
        name,
        expires=expires,
        domain=domain,
        path=path,
        secure=secure,
        partitioned=partitioned,
        samesite=samesite,
        httponly=httponly,
    )
    size = len(dump_cookie(name, path=None))
    return empty[:size], empty[size:]


def _varies(response: Response) -> bool:
    for name, _ in response.headers:
        if name.lower() == "vary":
            return True
    return False


def _key(key: bytes, digest: Callable[..., Any]) -> tuple[Any, Any]:
    """Returns the two hashes of an HMAC, both with the key read (RFC 2104 §4 says that they may be kept)."""
    size = digest().block_size
    key = (digest(key).digest() if len(key) > size else key).ljust(size, b"\0")
    return digest(bytes(byte ^ 0x36 for byte in key)), digest(bytes(byte ^ 0x5C for byte in key))


class _KeptSigner(TimestampSigner):
    """A signer that derives its key once, and sees at once what it has signed itself."""

    _keyed: Any = None

    def get_signature(self, value: str | bytes) -> bytes:
        """As itsdangerous'."""
        if not callable(self.digest_method):  # the name of one
            return super().get_signature(value)
        if self._keyed is None:
            self._keyed = _key(self.derive_key(), self.digest_method)
        inner, outer = self._keyed[0].copy(), self._keyed[1].copy()
        inner.update(want_bytes(value))
        outer.update(inner.digest())
        return _encode(outer.digest())

    def sign(self, value: str | bytes) -> bytes:
        """As itsdangerous'."""
        moment = self.get_timestamp()
        signed = want_bytes(value) + self.sep + _encode(moment.to_bytes((moment.bit_length() + 7) // 8, "big"))
        return signed + self.sep + self.get_signature(signed)

    def read(self, signed: bytes, max_age: int) -> bytes | None:
        """Returns what was signed, by the newest key and no longer ago than ``max_age`` seconds.

        Of anything else itsdangerous says what it is; then this is None.
        """
        value, _, signature = signed.rpartition(self.sep)
        if not hmac.compare_digest(signature, self.get_signature(value)):
            return None
        payload, _, timestamp = value.rpartition(self.sep)
        try:
            age = self.get_timestamp() - int.from_bytes(_decode(timestamp), "big")
        except Exception:
            return None
        return payload if 0 <= age <= max_age else None


_PLAIN = frozenset((str, int, float, bool, type(None)))  # in which nothing can be that has a tag
_TAGS = session_json_serializer.tags
# The tags in the order in which they are looked for, unless others were added already.
_ORDER = list(session_json_serializer.order)
if list(map(type, _ORDER)) != session_json_serializer.default_tags:
    _ORDER.clear()
_OWN_JSON = frozenset(("dumps", "loads"))
_JSON = DefaultJSONProvider.dumps, DefaultJSONProvider.loads
_decode_json = JSONDecoder().raw_decode


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

    def dump_payload(self, obj: Any) -> bytes:
        """As itsdangerous', but for those that are too short to be worth a compressor."""
        return _pack(want_bytes(self.serializer.dumps(obj, **self.serializer_kwargs)))

    def write(self, data: dict[str, Any], provider: Any) -> str:
        """Returns what ``self.dumps(data)`` does, and raises that.

        Args:
            data: of a session.
            provider: of the application's JSON.
        """
        if (
            self.serializer is session_json_serializer
            and session_json_serializer.order == _ORDER
            and _is_plain(data)
            and _is_flasks_json(provider)
        ):
            payload = _encoder(provider.ensure_ascii, provider.sort_keys).encode(data).encode()
            return self.make_signer().sign(_pack(payload)).decode()
        return self.dumps(data)

    def read(self, signed: str, max_age: int, provider: Any) -> Any:
        """Returns what ``self.loads(signed, max_age=max_age)`` does, and raises that.

        Args:
            signed: a cookie's value.
            max_age: in seconds.
            provider: of the application's JSON.
        """
        signer: Any = self.make_signer()
        payload = signer.read(signed.encode(), max_age)
        if payload is not None and self.serializer is session_json_serializer and payload[:1] != b".":  # not compressed
            try:
                text = _decode(payload).decode()
                if _is_flasks_json(provider):
                    data, end = _decode_json(text)
                    if end != len(text):
                        data = None
                else:
                    data = provider.loads(text)
            except Exception:
                data = None
            if type(data) is dict and _is_plain(data):
                return data
        return self.loads(signed, max_age=max_age)


def _is_plain(data: dict[Any, Any]) -> bool:
    """Whether nothing of the data of a session has a tag or looks like one."""
    for key, value in data.items():
        if type(key) is not str or key in _TAGS or type(value) not in _PLAIN:
            return False
    return True


def _is_flasks_json(provider: Any) -> bool:
    """Whether an application reads and writes JSON as Flask does."""
    if type(provider) is not DefaultJSONProvider or not _OWN_JSON.isdisjoint(vars(provider)):
        return False
    return DefaultJSONProvider.dumps is _JSON[0] and DefaultJSONProvider.loads is _JSON[1]


@lru_cache(8, typed=True)
def _encoder(ensure_ascii: bool, sort_keys: bool) -> JSONEncoder:
    return JSONEncoder(ensure_ascii=ensure_ascii, sort_keys=sort_keys, separators=(",", ":"))


def _pack(text: bytes) -> bytes:
    """Does what ``URLSafeSerializerMixin.dump_payload`` does with JSON.

    zlib clears a quarter of a megabyte for each text that it compresses, if it is not told how long that may be.
    """
    if len(text) < 64:  # hardly any JSON becomes shorter
        return _encode(text)
    if len(text) <= 1024:
        compressor = zlib.compressobj(wbits=11, memLevel=5)
        compressed = compressor.compress(text) + compressor.flush()
    else:
        compressed = zlib.compress(text)
    return b"." + _encode(compressed) if len(compressed) < len(text) - 1 else _encode(text)


_TO_URL, _FROM_URL = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")


def _encode(data: bytes) -> bytes:
    """As itsdangerous' ``base64_encode``: for URLs, without padding."""
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL)


def _decode(text: bytes) -> bytes:
    """As itsdangerous' ``base64_decode``, but for the error: it is a ValueError."""
    return a2b_base64((text + b"=" * (-len(text) & 3)).translate(_FROM_URL))
