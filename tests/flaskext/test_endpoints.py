"""Event style: on_open, on_message, on_close, and what happens when one of them raises."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from greenws import ConnectionClosed, Endpoint


def test_one_instance_serves_all_connections(ws, connect):
    instances = []

    @ws.route("/echo")
    class Echo(Endpoint):
        def __init__(self):
            instances.append(self)

        def on_message(self, conn, message):
            conn.send(message)

    for _ in range(3):
        with connect("/echo") as peer:
            peer.send("x")
            assert peer.receive() == "x"
    assert len(instances) == 1


def test_an_endpoint_may_define_nothing(ws, connect):
    ws.route("/void")(type("Void", (Endpoint,), {}))
    with connect("/void") as peer:
        peer.send("into the void")
        assert peer.ping() >= 0
    assert peer.close_code == 1000


def test_free_attributes_carry_url_values_to_the_messages(ws, connect):
    @ws.route("/room/<name>/<int:number>")
    class Room(Endpoint):
        def on_open(self, conn, name, number):
            conn.name, conn.number = name, number

        def on_message(self, conn, message):
            conn.send(f"{conn.name} {conn.number + 1} {message}")

    with connect("/room/caf%C3%A9/41") as peer:
        peer.send("x")
        assert peer.receive() == "café 42 x"


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda peer: peer.close(1000, "done"), (1000, "done")),
        (lambda peer: peer.close(4321, "söme"), (4321, "söme")),
        (lambda peer: peer.send("close"), (3001, "as you like")),
        (lambda peer: peer.send("raise"), (1011, "internal error")),
    ],
    ids=["peer", "peer's code", "handler", "error"],
)
def test_on_close_is_called_once_with_code_and_reason(ws, connect, reports, end, expected):
    closes = []

    @ws.route("/echo")
    class Echo(Endpoint):
        def on_message(self, conn, message):
            if message == "close":
                conn.close(3001, "as you like")
                conn.close(1000, "again")
            else:
                raise ValueError(message)

        def on_close(self, conn, code, reason):
            closes.append((code, reason, conn.close_code, conn.close_reason, conn.closed))

    with connect("/echo") as peer:
        end(peer)
        assert peer.wait_closed(5)
        assert (peer.close_code, peer.close_reason) == expected
    gevent.idle()
    assert closes == [(*expected, *expected, True)]


def test_on_close_is_told_1006_when_the_peer_is_lost(app, ws):
    closes = []
    lost = Event()

    @ws.route("/echo")
    class Echo(Endpoint):
        def on_open(self, conn):
            conn.send("here")

        def on_close(self, conn, code, reason):
            closes.append((code, reason))
            lost.set()

    client = app.extensions["greenws"].test_client()
    ours, theirs = gevent.socket.socketpair()
    client._server.on_connect(theirs.detach(), ("127.0.0.1", 1))
    with ours:
        ours.sendall(
            b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        while b"here" not in ours.recv(65536):
            pass
    assert lost.wait(5)
    assert closes == [(1006, "")]


def test_on_close_follows_all_messages(ws, connect):
    log = []

    @ws.route("/echo")
    class Echo(Endpoint):
        def on_message(self, conn, message):
            gevent.sleep(0)
            log.append(message)

        def on_close(self, conn, code, reason):
            log.append(code)

    with connect("/echo") as peer:
        for number in range(10):
            peer.send(str(number))
        peer.close()
    gevent.idle()
    assert log == [*map(str, range(10)), 1000]


def test_on_close_is_not_called_for_a_refused_upgrade(app, ws, refusal):
    closes = []

    @ws.route("/door")
    class Door(Endpoint):
        def on_open(self, conn):
            return "no", 403

        def on_close(self, conn, code, reason):
            closes.append(code)

    assert refusal("/door").status_code == 403
    gevent.idle()
    assert closes == []


def test_on_close_is_called_when_the_upgrade_fails_after_on_open(app, ws, refusal):
    """What on_open has set up must be taken down again, whatever comes between."""
    log = []

    @ws.route("/door")
    class Door(Endpoint):
        def on_open(self, conn):
            log.append("open")

        def on_close(self, conn, code, reason):
            log.append(code)

    app.after_request(lambda response: app.make_response(("no", 409)))
    assert refusal("/door").status_code == 409
    gevent.idle()
    assert log == ["open", 1006]


def test_an_error_in_on_message_is_reported_once_and_closes_with_1011(ws, connect, reports):
    handled = []

    @ws.route("/echo/<int:number>")
    class Echo(Endpoint):
        def on_open(self, conn, number):
            pass

        def on_message(self, conn, message):
            handled.append(message)
            raise ZeroDivisionError(message)

    with connect("/echo/7") as peer:
        peer.send("first")
        peer.send("second")
        with pytest.raises(ConnectionClosed) as caught:
            peer.receive()
        assert caught.value.code == 1011
        del caught
    assert handled == ["first"]
    assert reports.sent == ["ZeroDivisionError('first')"]
    assert reports.logged == ["ERROR Exception on WebSocket '/echo/7' ZeroDivisionError('first')"]


@pytest.mark.parametrize("error", [gevent.Timeout, lambda: gevent.Timeout(1), KeyError], ids=["class", "own", "key"])
def test_whatever_is_raised_harms_no_other_connection(ws, connect, reports, error):
    @ws.route("/echo")
    class Echo(Endpoint):
        def on_message(self, conn, message):
            if message == "raise":
                raise error()
            conn.send(message)

    with connect("/echo") as good, connect("/echo") as bad:
        bad.send("raise")
        assert bad.wait_closed(5)
        assert bad.close_code == 1011
        good.send("still here")
        assert good.receive() == "still here"
    assert len(reports.logged) == len(reports.sent) == 1


def test_an_error_in_on_close_is_reported(ws, connect, reports):
    @ws.route("/echo")
    class Echo(Endpoint):
        def on_close(self, conn, code, reason):
            raise ValueError("in on_close")

    with connect("/echo"):
        pass
    gevent.idle()
    assert reports.sent == ["ValueError('in on_close')"]
    assert len(reports.logged) == 1


def test_a_send_on_a_connection_that_has_ended_is_no_error_of_the_handler(ws, connect, reports):
    conns = []

    @ws.route("/echo")
    class Echo(Endpoint):
        def on_message(self, conn, message):
            conn.close(4000)
            conns.append(conn)
            conn.send("too late")
            conns.append("not reached")

    with connect("/echo") as peer:
        peer.send("x")
        assert peer.wait_closed(5)
        assert peer.close_code == 4000
    assert len(conns) == 1
    conns.clear()
    assert reports.sent == reports.logged == []


def test_messages_of_one_connection_neither_overlap_nor_reorder(ws, connect):
    log = []

    @ws.route("/echo")
    class Echo(Endpoint):
        def on_message(self, conn, message):
            log.append(("begin", message))
            gevent.sleep(0)
            log.append(("end", message))
            if message == "19":
                conn.send("done")

    with connect("/echo") as peer:
        for number in range(20):
            peer.send(str(number))
        assert peer.receive() == "done"
    assert log == [(what, str(number)) for number in range(20) for what in ("begin", "end")]


def test_messages_that_arrive_while_opening_wait_for_it(app, ws, connect):
    """A client may send right behind its handshake."""
    log = []

    @ws.route("/echo")
    class Echo(Endpoint):
        def on_open(self, conn):
            gevent.sleep(0)
            log.append("open")

        def on_message(self, conn, message):
            log.append(message)
            conn.send(message)

    client = app.extensions["greenws"].test_client()
    ours, theirs = gevent.socket.socketpair()
    client._server.on_connect(theirs.detach(), ("127.0.0.1", 1))
    with ours:
        ours.sendall(
            b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            b"\x81\x85\0\0\0\0early\x88\x80\0\0\0\0"
        )
        data = b""
        while more := ours.recv(65536):
            data += more
    assert data.partition(b"\r\n\r\n")[2] == b"\x81\x05early\x88\x00"
    assert log == ["open", "early"]
