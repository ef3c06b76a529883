"""When bytes leave: at once, or together with others. A socket pair of records shows each write as one."""

from __future__ import annotations

import os

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from greenws.net.connection import Connection
from greenws.protocol.frames import encode_frame


@pytest.fixture
def records(net):
    """Connects a service to a peer who sees every write by itself: ``records(service) -> connection, socket``."""
    made = []

    def connect(service):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.append(theirs)
        conn = net.attach(ours, service)
        waiting(theirs)  # the head of the upgrade, which is empty here
        return conn, theirs

    yield connect
    for sock in made:
        sock.close()


def frame(text, opcode=1):
    return encode_frame(opcode, text.encode(), key=0)


def answer(text):
    return encode_frame(1, text.encode())


def waiting(sock):
    """The records that have come so far."""
    found = []
    while True:
        try:
            found.append(sock._sock.recv(1 << 20))
        except BlockingIOError:
            return found


def echo(conn, message):
    conn.send(message)


def test_a_message_is_written_at_once_without_a_turn_of_the_loop(net, records):
    conn, peer = records(net.service())
    conn.send("a")
    conn.send("b")
    assert waiting(peer) == [answer("a"), answer("b")]


@pytest.mark.parametrize("size", [65520, 65536, 100_000])
def test_header_and_payload_leave_in_one_write_whatever_their_size(net, records, size):
    conn, peer = records(net.service())
    conn.send("x" * size)
    assert waiting(peer) == [answer("x" * size)]


def test_answers_to_a_batch_leave_in_one_write(net, records):
    _, peer = records(net.service(echo))
    peer.send(b"".join(frame(str(number)) for number in range(16)))
    gevent.idle()
    assert waiting(peer) == [b"".join(answer(str(number)) for number in range(16))]


def test_answers_of_a_blocking_view_leave_in_one_write_too(net, records):
    conn, peer = records(net.service())

    def view():
        for message in conn:
            conn.send(message)

    viewer = gevent.spawn(view)
    gevent.idle()
    peer.send(b"".join(frame(str(number)) for number in range(16)))
    gevent.idle()
    assert waiting(peer) == [b"".join(answer(str(number)) for number in range(16))]
    conn.close()
    viewer.join(timeout=5)


def test_pongs_to_what_came_together_leave_in_one_write(net, records):
    _, peer = records(net.service())
    peer.send(encode_frame(9, b"1", key=0) + encode_frame(9, b"2", key=0))
    gevent.idle()
    assert waiting(peer) == [encode_frame(10, b"1") + encode_frame(10, b"2")]
    peer.send(encode_frame(9, b"3", key=0) + frame("4"))
    gevent.idle()
    assert waiting(peer) == [encode_frame(10, b"3")]


def test_a_handler_that_blocks_in_a_batch_does_not_hold_its_answers_back(net, records):
    go_on = Event()

    def handler(conn, message):
        conn.send(message)
        if message == "2":
            go_on.wait(10)

    _, peer = records(net.service(handler))
    peer.send(b"".join(frame(str(number)) for number in range(5)))
    gevent.idle()
    assert b"".join(waiting(peer)) == answer("0") + answer("1") + answer("2")
    go_on.set()
    gevent.idle()
    assert b"".join(waiting(peer)) == answer("3") + answer("4")


def test_what_others_send_meanwhile_leaves_meanwhile(net, records):
    go_on = Event()
    conn, peer = records(net.service(lambda conn, message: go_on.wait(10)))
    peer.send(frame("0") + frame("1"))
    gevent.idle()
    conn.send("from another greenlet")
    gevent.idle()
    assert waiting(peer) == [answer("from another greenlet")]
    go_on.set()
    gevent.idle()


def test_a_broadcast_in_a_batch_reaches_everybody_by_the_next_turn(net, records):
    from greenws.net.broadcast import broadcast

    members = []
    service = net.service(lambda conn, message: broadcast(members, message))
    peers = []
    for _ in range(3):
        conn, peer = records(service)
        members.append(conn)
        peers.append(peer)
    peers[0].send(frame("a") + frame("b"))
    gevent.idle()
    assert [b"".join(waiting(peer)) for peer in peers] == [answer("a") + answer("b")] * 3
    members.clear()


def test_the_head_of_the_upgrade_and_what_opening_sent_leave_in_one_write(net):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    conn = Connection(net.service())
    conn.send("first")
    conn.send("second")
    conn.attach(ours.detach(), b"HEAD")
    assert waiting(theirs) == [b"HEAD" + answer("first") + answer("second")]
    theirs.close()
    assert conn.wait_closed(5)


def test_early_bytes_are_handled_in_the_next_turn_and_not_before(net):
    """Whoever attaches is not run over by a handler."""
    seen = []
    ours, theirs = net.sockets()
    conn = net.attach(ours, net.service(lambda conn, message: seen.append(message)), early=frame("a") + frame("b")[:3])
    assert seen == []
    theirs.sendall(frame("b")[3:])
    gevent.idle()
    assert seen == ["a", "b"]
    assert not conn.closed


def test_a_descriptor_that_cannot_be_watched_is_closed(net):
    """The connection owns it from the call on, also when that fails."""
    fd = os.open(os.devnull, os.O_RDONLY)  # epoll refuses what is always ready
    conn = Connection(net.service(lambda conn, message: None))
    try:
        conn.attach(fd)
    except OSError:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)
    conn.close()
    assert conn.wait_closed(5)
    assert len(net.registry) == 0
