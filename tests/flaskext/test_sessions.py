"""Sessions in signed cookies, beside those that Flask itself reads and writes."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import time

import pytest
from flask import Flask, Response, session
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from greenws import GreenWS
from greenws.flaskext.sessions import KeptSessions

MONTH = 31 * 86400


class TestKeptSessions:
    """The serializer is kept, and is the one that Flask would make."""

    @pytest.fixture
    def app(self):
        app = Flask("application")
        app.secret_key = "first"
        GreenWS(app)
        return app

    @staticmethod
    def flasks(app):
        return SecureCookieSessionInterface().get_signing_serializer(app)

    def test_it_is_kept(self, app):
        assert type(app.session_interface) is KeptSessions
        assert app.session_interface.get_signing_serializer(app) is app.session_interface.get_signing_serializer(app)

    def test_it_reads_and_writes_what_flasks_does(self, app):
        ours = app.session_interface.get_signing_serializer(app)
        assert self.flasks(app).loads(ours.dumps({"a": 1})) == {"a": 1}
        assert ours.loads(self.flasks(app).dumps({"a": 1})) == {"a": 1}

    def test_a_new_key_counts_at_once(self, app):
        before = app.session_interface.get_signing_serializer(app).dumps({"a": 1})
        app.secret_key = "second"
        assert app.session_interface.get_signing_serializer(app).loads_unsafe(before)[0] is False
        app.config["SECRET_KEY_FALLBACKS"] = ["first"]
        assert app.session_interface.get_signing_serializer(app).loads(before) == {"a": 1}
        app.config["SECRET_KEY_FALLBACKS"].clear()
        assert app.session_interface.get_signing_serializer(app).loads_unsafe(before)[0] is False

    def test_there_is_none_without_a_key(self, app):
        app.secret_key = None
        assert app.session_interface.get_signing_serializer(app) is None

    def test_another_salt_counts_at_once(self, app):
        before = app.session_interface.get_signing_serializer(app).dumps({"a": 1})
        app.session_interface.salt = "another"
        assert app.session_interface.get_signing_serializer(app).loads_unsafe(before)[0] is False

    @pytest.mark.parametrize("is_subclass", [True, False])
    def test_sessions_of_ones_own_are_left_alone(self, is_subclass):
        app = Flask("application")
        app.session_interface = own = type("Own", (SecureCookieSessionInterface,), {})()
        if not is_subclass:
            app.session_interface = own = SecureCookieSessionInterface()
            own.salt = "own"
        GreenWS(app)
        assert app.session_interface is own

    def test_another_digest_counts_at_once(self, app):
        before = app.session_interface.get_signing_serializer(app).dumps({"a": 1})
        app.session_interface.digest_method = hashlib.sha256
        after = app.session_interface.get_signing_serializer(app)
        assert after.loads_unsafe(before)[0] is False
        assert after.loads(after.dumps({"a": 1}), max_age=MONTH) == {"a": 1}


def write(data, age=0.0, key="key"):
    """The cookie's value as Flask writes it, so many seconds ago."""
    app = Flask("writer")
    app.secret_key = key

    class Signer(TimestampSigner):
        def get_timestamp(self):
            return int(time.time() - age)

    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    serializer.signer = Signer
    return serializer.dumps(data)


def sign(payload):
    """Any payload, signed as a session."""
    serializer = SecureCookieSessionInterface()
    app = Flask("writer")
    app.secret_key = "key"
    signer = serializer.get_signing_serializer(app).make_signer()
    return signer.sign(payload).decode()


def sign_without_time(payload):
    app = Flask("writer")
    app.secret_key = "key"
    signer = SecureCookieSessionInterface().get_signing_serializer(app).make_signer()
    return super(TimestampSigner, signer).sign(payload).decode()


VALUE = write({"user": "me", "n": 1})
MOMENT = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
BAD_TIMES = [b"", b"!", b"AAAAAAAAAAAAAAAA", b"\xc3\xa9"]
VALUES = [
    VALUE,
    write({}),
    write({"user": "é", "none": None, "float": 1.5, "yes": True}),
    write({"when": MOMENT}),
    write({"a": {"b": [1, (2, 3)]}}),
    write({"b": b"bytes"}),
    write({" t": "looks like a tag"}),
    write({" di": {"x": 1}}),
    write({"long": "x" * 5000}),  # compressed
    write([1, 2]),
    write("text"),
    write(None),
    write({"user": "me"}, age=MONTH - 60),
    write({"user": "me"}, age=MONTH + 60),
    write({"user": "me"}, age=-60),
    write({"user": "me"}, key="older"),
    write({"user": "me"}, key="unknown"),
    VALUE[:-1],
    VALUE + "=",
    VALUE + "A",
    VALUE[1:],
    VALUE.replace(".", "", 1),
    "x" + VALUE,
    "",
    ".",
    "..",
    "...",
    "a.b.c",
    "é.é.é",
    sign(b""),
    sign(b"."),
    sign(b"!!!"),
    sign(base64.urlsafe_b64encode(b"not JSON")),
    sign(base64.urlsafe_b64encode(b'{"\xff": 1}')),
    sign(base64.urlsafe_b64encode(b'{"a": NaN}').rstrip(b"=")),
    sign(b".eJwr"),
    sign_without_time(b"e30"),
    *(sign_without_time(b"e30." + moment) for moment in BAD_TIMES),
]


def read(interface, header, **config):
    """What an application finds in a request's session: the data, or the error."""
    app = Flask("reader")
    app.session_interface = interface
    app.secret_key = "key"
    app.config["SECRET_KEY_FALLBACKS"] = ["older"]
    app.config.update(config)
    with app.app_context():
        found = []
        for _ in range(2):  # the second time with what was kept
            try:
                found.append(dict(interface.open_session(app, app.request_class(app_environ(header)))))
            except Exception as error:
                found.append((type(error), str(error)))
    return found


def app_environ(header):
    environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "SERVER_NAME": "x", "SERVER_PORT": "80"}
    if header is not None:
        environ["HTTP_COOKIE"] = header.encode().decode("latin-1")
    return environ


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_cookie_is_read_as_flask_reads_it(value):
    header = f"session={value}"
    assert read(KeptSessions(), header) == read(SecureCookieSessionInterface(), header)


def test_what_flask_accepts_is_among_them():
    full = [
        value for value in VALUES if isinstance(found := read(KeptSessions(), f"session={value}")[0], dict) and found
    ]
    assert len(full) >= 9
    assert read(KeptSessions(), f"session={VALUE}")[0] == {"user": "me", "n": 1}


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "session",
        "session=",
        f"session={VALUE};",
        f"session = {VALUE}",
        f"a=b; session={VALUE}",
        f"a=b;session={VALUE}; c=d",
        f"a; session={VALUE}",
        f'a="; session=x"; session={VALUE}',
        f'a="b; session={VALUE}',
        f'session="{VALUE}"',
        f"session=; session={VALUE}",
        f"session=x; session={VALUE}",
        f"session={VALUE}; session=x",
        f"session={VALUE} ; session=x",
        f"session={VALUE} x; session=x",
        f"xsession={VALUE}",
        f"session.x={VALUE}",
        f"Session={VALUE}",
        f"é=é; session={VALUE}",
        f"a=b=c; session={VALUE}",
        f"=b; session={VALUE}",
        f" session={VALUE}",
        f"\tsession={VALUE}",
        f"session={VALUE}\t; session=x",
        f"session={VALUE},a=b",
    ],
)
def test_the_cookie_is_found_where_werkzeug_finds_it(header):
    assert read(KeptSessions(), header) == read(SecureCookieSessionInterface(), header)


def test_a_name_of_ones_own_is_no_pattern():
    for header in (f"a.b={VALUE}", f"axb={VALUE}"):
        ours = read(KeptSessions(), header, SESSION_COOKIE_NAME="a.b")
        assert ours == read(SecureCookieSessionInterface(), header, SESSION_COOKIE_NAME="a.b")
    assert read(KeptSessions(), f"a.b={VALUE}", SESSION_COOKIE_NAME="a.b")[0]


@pytest.mark.parametrize("vary", [None, "Cookie", "accept", "*"])
@pytest.mark.parametrize("work", ["nothing", "look", "change", "clear", "permanent"])
@pytest.mark.parametrize("refresh", [True, False])
def test_answers_are_as_flasks(work, vary, refresh):
    answers = []
    for interface in (KeptSessions(), SecureCookieSessionInterface()):
        app = Flask("application")
        app.secret_key = "key"
        app.session_interface = interface
        app.config["SESSION_REFRESH_EACH_REQUEST"] = refresh

        @app.get("/")
        def page():
            if work == "look":
                session.get("user")
            elif work == "change":
                session["user"] = "you"
            elif work == "clear":
                session.clear()
            return Response("", headers={} if vary is None else {"vary": vary})

        data = {"user": "me", **({"_permanent": True} if work == "permanent" else {})}
        answer = app.test_client().get("/", headers={"Cookie": f"session={write(data)}"})
        cookies = [cookie.split(";", 1) for cookie in answer.headers.getlist("Set-Cookie")]
        loads = SecureCookieSessionInterface().get_signing_serializer(app).loads
        content = [(loads(value) if (value := cookie[0].partition("=")[2]) else "") for cookie in cookies]
        rest = [cookie[1].partition("Expires")[0] for cookie in cookies]
        answers.append((answer.headers.getlist("Vary"), content, rest))
    assert answers[0] == answers[1]


def test_a_request_class_may_find_cookies_in_its_own_way():
    from flask import Request

    class Own(Request):
        @property
        def cookies(self):
            return {"session": VALUE}

    app = Flask("application")
    app.secret_key = "key"
    app.request_class = Own
    GreenWS(app)
    with app.test_request_context():
        assert session["user"] == "me"


def test_the_newest_key_signs():
    app = Flask("application")
    app.secret_key = "new"
    app.config["SECRET_KEY_FALLBACKS"] = ["old"]
    signed = KeptSessions().get_signing_serializer(app).dumps({"a": 1})
    assert URLSafeTimedSerializer("new", salt="cookie-session", signer_kwargs={"key_derivation": "hmac"}).loads(signed)


class Fixed(datetime.datetime):
    """A moment in which nothing takes time."""

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime(2026, 1, 2, 3, 4, 5, 678900, tz)


def written(monkeypatch, data, prepare=None, **config):
    """What Flask and we write: for each the headers of the answer, and the data and the form of the cookie."""
    monkeypatch.setattr("flask.sessions.datetime", Fixed)
    answers = []
    for interface in (SecureCookieSessionInterface(), KeptSessions()):
        app = Flask("application")
        app.secret_key = "key"
        app.session_interface = interface
        app.config.update(config)
        if prepare is not None:
            prepare(app)
        with app.test_request_context():
            for _ in range(2):  # the second time with what was kept
                response = app.response_class()
                written_session = interface.session_class(data)
                written_session.modified = written_session.accessed = True
                interface.save_session(app, written_session, response)
        value, _, attributes = response.headers["Set-Cookie"].partition(";")
        name, _, value = value.partition("=")
        payload, moment, _ = value.rsplit(".", 2)
        loads = SecureCookieSessionInterface().get_signing_serializer(app).loads
        rest = [pair for pair in response.headers if pair[0] != "Set-Cookie"]
        answers.append((name, loads(value), len(payload), payload[:1] == ".", len(moment), attributes, rest))
    return answers


DATA = [
    {"user": "me"},
    {"user": "é\n\"'<>&\0\ud83d", "": "", "n": 12345678901234567890, "x": 1.5, "yes": True, "no": None},
    {"infinite": float("inf")},
    {"when": MOMENT},
    {"b": {"a": [1, (2, 3)]}, "a": b"bytes"},
    {" t": "looks like a tag"},
    {" t": 1, "a": 2},
    {"long": "x" * 53},
    {"words": " ".join(map(str, range(250)))},
    {"near": "0123456789abcdef", "far": "".join(map(chr, range(48, 91))) * 20, "again": "0123456789abcdef"},
    {"long": "x" * 1100},
    {"_fresh": True, "_id": "0123456789abcdef" * 8, "_user_id": "1", "csrf_token": "fedcba9876543210" * 2},
    {"_permanent": True, "user": "me"},
]
CONFIGS = [
    {},
    {"SESSION_COOKIE_NAME": "own.name"},
    {"SESSION_COOKIE_NAME": "é"},
    {"SESSION_COOKIE_DOMAIN": ".example.com"},
    {"SESSION_COOKIE_PATH": "/a;b é"},
    {"APPLICATION_ROOT": "/mounted"},
    {"SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_SAMESITE": "none", "SESSION_COOKIE_HTTPONLY": False},
    {"SESSION_COOKIE_SAMESITE": "Lax", "SESSION_COOKIE_PARTITIONED": True},
    {"SESSION_COOKIE_SECURE": 1, "SESSION_COOKIE_HTTPONLY": 0},
    {"PERMANENT_SESSION_LIFETIME": 10},
]


@pytest.mark.parametrize("data", DATA, ids=range(len(DATA)))
@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_a_cookie_is_written_as_flask_writes_it(monkeypatch, data, config):
    flasks, ours = written(monkeypatch, data, **config)
    assert ours == flasks
    assert ours[1] == data


def test_the_application_may_have_a_json_of_its_own(monkeypatch):
    from flask.json.provider import DefaultJSONProvider

    class Own(DefaultJSONProvider):
        def dumps(self, obj, **options):
            return super().dumps({**obj, "own": 1}, **options)

    def own_class(app):
        app.json = Own(app)

    def own_function(app):
        app.json.dumps = lambda obj, **options: json.dumps({**obj, "own": 1}, **options)

    for prepare in (own_class, own_function):
        flasks, ours = written(monkeypatch, {"user": "me"}, prepare)
        assert ours == flasks
        assert ours[1] == {"user": "me", "own": 1}


@pytest.mark.parametrize("setting", [{"ensure_ascii": False}, {"sort_keys": False}])
def test_the_settings_of_its_json_count(monkeypatch, setting):
    flasks, ours = written(monkeypatch, {"user": "é", "a": 1}, lambda app: vars(app.json).update(setting))
    assert ours == flasks


def test_tags_of_ones_own_are_written_and_read(monkeypatch):
    from flask.json.tag import JSONTag
    from flask.sessions import session_json_serializer

    class Shout(JSONTag):
        key = " !"

        def check(self, value):
            return isinstance(value, str) and value.isupper()

        def to_json(self, value):
            return value.lower()

        def to_python(self, value):
            return value.upper()

    session_json_serializer.register(Shout, index=0)
    try:
        flasks, ours = written(monkeypatch, {"user": "ME"})
        assert ours == flasks
        assert ours[1] == {"user": "ME"}
        cookie = f"session={write({'user': 'ME'})}"
        assert read(KeptSessions(), cookie)[0] == {"user": "ME"}
    finally:
        del session_json_serializer.tags[" !"]
        del session_json_serializer.order[0]


def test_a_cookie_that_is_too_large_is_warned_of(monkeypatch):
    with pytest.warns(UserWarning, match="too large") as warnings:
        flasks, ours = written(monkeypatch, {"user": "me"}, MAX_COOKIE_SIZE=20)
    assert ours == flasks
    assert len(warnings) == 4
    written(monkeypatch, {"user": "me"}, MAX_COOKIE_SIZE=0)


def test_a_short_one_is_written_as_it_is(monkeypatch):
    flasks, ours = written(monkeypatch, {"long": "x" * 52})
    assert ours[1] == flasks[1] == {"long": "x" * 52}
    assert (ours[3], flasks[3]) == (False, True)  # compressed


def test_none_may_be_too_large(monkeypatch):
    flasks, ours = written(monkeypatch, {"user": "me"}, MAX_COOKIE_SIZE=None)
    assert ours == flasks


@pytest.mark.parametrize("digest", ["sha256", hashlib.sha512, hashlib.sha3_256])
@pytest.mark.parametrize("derivation", ["hmac", "none", "concat"])
@pytest.mark.parametrize("key", ["key", "k" * 200])
def test_any_signature_is_itsdangerous(digest, derivation, key):
    app = Flask("application")
    app.secret_key = key
    made = []
    for interface in (KeptSessions(), SecureCookieSessionInterface()):
        interface.digest_method, interface.key_derivation = digest, derivation
        if derivation != "concat" or callable(digest):
            made.append(interface.get_signing_serializer(app).make_signer().get_signature(b"value"))
    assert made == made[-1:] * len(made)


def test_a_response_may_set_cookies_in_its_own_way(monkeypatch):
    class Own(Response):
        def set_cookie(self, key, value="", **options):
            super().set_cookie(key, value, **{**options, "secure": True})

    flasks, ours = written(monkeypatch, {"user": "me"}, lambda app: setattr(app, "response_class", Own))
    assert ours == flasks
    assert "Secure" in ours[5]


def test_a_wrong_setting_fails_as_in_flask(monkeypatch):
    with pytest.raises(ValueError, match="SameSite"):
        written(monkeypatch, {"user": "me"}, SESSION_COOKIE_SAMESITE="sometimes")


def test_ordinary_ones_are_read_and_written_without_asking_anybody(monkeypatch):
    flasks, _ = written(monkeypatch, {"user": "me"})
    assert flasks[1] == {"user": "me"}
    app = Flask("application")
    app.secret_key = "key"
    sessions = KeptSessions()
    sessions.get_signing_serializer(app)
    for name in ("loads", "dumps"):
        monkeypatch.setattr(URLSafeTimedSerializer, name, None)
    found = sessions.open_session(app, app.request_class(app_environ(f"session={VALUE}")))
    assert found == {"user": "me", "n": 1}
    found["n"] = 2
    found.accessed = True
    response = Response()
    sessions.save_session(app, found, response)
    assert response.headers["Set-Cookie"].startswith("session=")
