"""Deadlines of a connection on the real wheel: each limit ends what it is for, and nothing else."""

from __future__ import annotations

from math import isnan

import gevent
import pytest
from gevent.event import Event

from greenws.errors import ConnectionClosed
from greenws.net.broadcast import broadcast

pytestmark = pytest.mark.slow  # a tick of the wheel is 0.1 s


def code_of(payload: bytes) -> int:
    return int.from_bytes(payload[:2], "big")


def test_a_quiet_connection_is_closed_with_1001_after_idle_timeout(net):
    server, peer = net.bare(net.service(idle_timeout=0.2))
    assert peer.frame() == (8, (1001).to_bytes(2, "big") + b"idle")
    assert server.close_code == 1001


def test_the_idle_timeout_does_not_wait_for_the_first_ping(net):
    server, peer = net.bare(net.service(idle_timeout=0.2, ping_interval=1000))
    with gevent.Timeout(3):
        assert code_of(peer.frame()[1]) == 1001
    assert server.closed


@pytest.mark.parametrize("who", ["peer", "send", "broadcast"])
def test_messages_in_either_direction_put_the_idle_timeout_off(net, who):
    server, peer = net.bare(net.service(idle_timeout=1))
    for _ in range(12):
        if who == "peer":
            peer.send(1, b"x")
            assert server.receive(5) == "x"
        elif who == "send":
            server.send("x")
        else:
            assert broadcast([server], "x") == 1
        gevent.sleep(0.1)  # on the wheel's clock
    assert not server.closed


def test_pings_do_not_put_the_idle_timeout_off(net):
    server, peer = net.bare(net.service(idle_timeout=0.3))

    def ping():
        try:
            while True:
                peer.send(9)
                gevent.sleep(0.05)
        except OSError:
            pass

    pinger = gevent.spawn(ping)
    while (frame := peer.frame()) == (10, b""):
        pass
    assert code_of(frame[1]) == 1001
    pinger.kill()
    assert server.closed


def test_a_peer_that_answers_no_ping_is_lost_with_1006(net):
    server, peer = net.bare(net.service(ping_interval=0.2, ping_timeout=0.2))
    with pytest.raises(ConnectionClosed) as caught:
        server.receive(5)
    assert caught.value.code == 1006
    assert (server.close_reason, caught.value.reason) == ("no answer to a ping",) * 2
    frames = peer.frames()
    assert frames
    assert {opcode for opcode, _ in frames} == {9}
    del caught


def test_an_answer_that_lies_in_the_kernel_counts_whatever_the_clock_says(net):
    """The hub stood still, so we did not read. Here the test itself is what keeps it from it."""
    server, peer = net.bare(net.service(ping_interval=0.1, ping_timeout=0.3))
    opcode, payload = peer.frame()
    assert opcode == 9
    peer.send(10, payload)
    tick = server.reactor.wheel.tick
    for late in (100, 200, 300):
        server.expire(tick + late)
    assert not server.closed


@pytest.mark.parametrize(
    ("settings", "fin", "is_moved"),
    [({}, True, True), ({"idle_timeout": 200}, True, False), ({"message_timeout": 200}, False, False)],
)
def test_an_answer_plans_the_next_ping_at_once_and_puts_no_other_deadline_off(net, settings, fin, is_moved):
    server, peer = net.bare(net.service(ping_interval=100, **settings))
    peer.send(1, b"x", fin=fin)
    gevent.sleep(0.05)
    server.expire(server.reactor.wheel.tick + 1010)
    frame = peer.frame()
    assert frame[0] == 9
    server.reactor.wheel.schedule(server, 101)  # later than any ping
    before = server.wheel_slot
    peer.send(10, frame[1])
    with gevent.Timeout(5):
        while isnan(server.latency):
            gevent.sleep(0.01)
    assert (server.wheel_slot != before) == is_moved


def test_an_answer_does_not_put_off_the_end_of_a_close(net):
    server, peer = net.bare(net.service(ping_interval=100, close_timeout=0.3))
    server.expire(server.reactor.wheel.tick + 1010)
    ping = peer.frame()
    server.close(1000)
    assert peer.frame()[0] == 8
    peer.send(10, ping[1])
    assert server.wait_closed(5)


def test_a_peer_that_answers_is_kept_and_its_latency_measured(net):
    server, client = net.pair(net.service(ping_interval=0.1, ping_timeout=0.1))
    reader = gevent.spawn(client.receive)
    gevent.sleep(1)  # on the wheel's clock
    assert not server.closed
    assert 0 <= server.latency < 0.5
    server.close()
    reader.join(timeout=5)


def test_any_byte_of_the_peer_counts_as_life(net):
    server, peer = net.bare(net.service(ping_interval=0.2, ping_timeout=0.2, message_timeout=None))
    peer.socket.sendall(b"\x82\xfe\x10\0" + bytes(4))
    for _ in range(12):
        peer.socket.sendall(b"x")
        gevent.sleep(0.1)
    assert not server.closed


def test_a_message_that_is_never_finished_is_1008(net):
    server, peer = net.bare(net.service(message_timeout=0.2))
    peer.socket.sendall(b"\x81\x85\0\0\0\0he")
    opcode, payload = peer.frame()
    assert (opcode, code_of(payload)) == (8, 1008)
    assert server.close_code == 1008


def test_a_message_that_comes_byte_by_byte_is_1008_too(net):
    server, peer = net.bare(net.service(message_timeout=0.3))
    peer.socket.sendall(b"\x82\xfe\x10\0" + bytes(4))

    def drip():
        try:
            while True:
                peer.socket.sendall(b"x")
                gevent.sleep(0.02)
        except OSError:
            pass

    dripper = gevent.spawn(drip)
    assert code_of(peer.frame()[1]) == 1008
    assert server.closed
    dripper.kill()


def test_fragments_without_an_end_are_1008_even_with_pings_between(net):
    server, peer = net.bare(net.service(message_timeout=0.3, ping_interval=1000))
    peer.send(1, b"a", fin=False)

    def drip():
        try:
            while True:
                peer.send(0, b"b", fin=False)
                gevent.sleep(0.05)
        except OSError:
            pass

    dripper = gevent.spawn(drip)
    with gevent.Timeout(3):
        assert code_of(peer.frame()[1]) == 1008
    assert server.closed
    dripper.kill()


def test_each_message_has_the_whole_message_timeout(net):
    server, peer = net.bare(net.service(message_timeout=1))
    for _ in range(4):
        peer.socket.sendall(b"\x81\x82\0\0\0\0a")
        gevent.sleep(0.35)
        peer.socket.sendall(b"b")
        assert server.receive(5) == "ab"
    # The end of one message and the begin of the next in one read: each has its own time.
    peer.socket.sendall(b"\x81\x82\0\0\0\0a")
    for _ in range(4):
        gevent.sleep(0.35)
        peer.socket.sendall(b"b\x81\x82\0\0\0\0a")
        assert server.receive(5) == "ab"
    assert not server.closed


def test_too_many_control_frames_in_a_second_are_1008(net):
    server, peer = net.bare(net.service(max_control_rate=10))
    peer.socket.sendall(b"\x8a\x80\0\0\0\0" * 50)
    opcode, payload = peer.frame()
    assert (opcode, code_of(payload)) == (8, 1008)
    assert server.close_code == 1008


def test_as_many_control_frames_as_are_allowed_do_no_harm_for_ever(net):
    server, peer = net.bare(net.service(max_control_rate=20, ping_interval=100))
    for _ in range(3):
        peer.socket.sendall(b"\x8a\x80\0\0\0\0" * 20)
        gevent.sleep(1.1)
    assert not server.closed


def test_the_control_rate_is_counted_per_second_without_pings_too(net):
    """No timer runs for a connection that has no deadline; its seconds must pass all the same."""
    server, peer = net.bare(net.service(max_control_rate=20))
    for _ in range(3):
        peer.socket.sendall(b"\x8a\x80\0\0\0\0" * 15)
        gevent.sleep(1.1)
    assert not server.closed


def test_a_timeout_of_gevent_inside_a_handler_is_the_handlers_own(net):
    log = []

    def on_message(conn, message):
        with gevent.Timeout(0.01, False):
            Event().wait()
            log.append("not reached")
        try:
            with gevent.Timeout(0.01):
                Event().wait()
        except gevent.Timeout:
            conn.send("timed out")

    server, peer = net.bare(net.service(on_message))
    peer.send(1, b"x")
    assert peer.frame() == (1, b"timed out")
    assert log == []
    assert not server.closed


def test_a_timeout_that_a_handler_does_not_catch_is_its_error(net, recorder):
    def on_message(conn, message):
        gevent.Timeout.start_new(0.01)
        Event().wait()

    server, peer = net.bare(net.service(on_message))
    peer.send(1, b"x")
    assert code_of(peer.frame()[1]) == 1011
    assert [type(error) for error in recorder.errors] == [gevent.Timeout]
    recorder.errors.clear()
    assert server.closed
