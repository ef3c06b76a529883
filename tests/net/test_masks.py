"""What a client sends is masked (RFC 6455 §5.3), with keys nobody can foretell."""

from __future__ import annotations

import os
import socket as blocking

import pytest
from gevent import socket

from greenws.net.connection import Connection
from tests.wire import xor


class Wire:
    """The bare other end of a client's connection."""

    def __init__(self, sock):
        self.socket = sock

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            assert more
            data += more
        return data

    def frame(self):
        """The next frame: its key and its payload, unmasked."""
        _, length = self.read(2)
        assert length & 0x80
        length &= 0x7F
        if length > 125:
            length = int.from_bytes(self.read(2 if length == 126 else 8), "big")
        key = self.read(4)
        return key, xor(self.read(length), key)


def client_of(net):
    """A client's connection, and the bare other end."""
    ours, theirs = net.sockets()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return net.attach(ours, net.service(is_server=False)), Wire(theirs)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 125, 126, 65535, 65536, 65537, 200_000])
def test_the_payload_is_masked_with_the_key_of_its_frame(net, size):
    conn, wire = client_of(net)
    payload = bytes(index % 251 for index in range(size))
    conn.send(payload)
    assert wire.frame()[1] == payload


def test_masks_cannot_be_foretold(net):
    """RFC 6455 §10.3: each frame has its own, from the system's random source."""
    conn, wire = client_of(net)
    keys = []
    for _ in range(3000):  # more than one page of random bytes
        conn.send(b"x")
        keys.append(wire.frame()[0])
    assert len(set(keys)) >= 2999
    ones = sum(bin(int.from_bytes(key, "big")).count("1") for key in keys)
    assert abs(ones - 48_000) < 1000  # nine standard deviations


def test_a_message_is_not_changed_by_its_mask(net):
    conn, wire = client_of(net)
    message = b"a message that is sent twice"
    for _ in range(2):
        conn.send(message)
    assert wire.frame()[1] == wire.frame()[1] == message == b"a message that is sent twice"


def test_a_forked_child_has_keys_of_its_own(net):
    """Both would go on with the same page of random bytes else."""
    ours, theirs = net.sockets()
    conn = net.attach(ours, net.service(is_server=False))
    conn.send(b"x")
    first, second = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            one, two = blocking.socketpair()  # the loop is the parent's
            one.setblocking(False)
            service = net.service(is_server=False)
            child = Connection(service)
            child.attach(one.detach())
            child.send(b"x")
            os.write(second, Wire(two).frame()[0])
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    wire = Wire(theirs)
    wire.frame()
    conn.send(b"x")
    assert wire.frame()[0] != os.read(first, 4)
    os.close(first)
    os.close(second)
