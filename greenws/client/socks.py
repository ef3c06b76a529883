"""Through a SOCKS 5 proxy (RFC 1928, RFC 1929). ``socksio``, which does no I/O, writes and reads the messages."""

from __future__ import annotations

import importlib.util
from typing import Any

from greenws.client.address import Address
from greenws.client.wire import Wire
from greenws.errors import ConfigError, ConnectError

_BOUND_SIZE = {1: 4, 4: 16}  # bytes of an address of each type; a name, type 3, says its own length


def check_socks() -> None:
    """Raises ConfigError unless the library is installed."""
    if importlib.util.find_spec("socksio") is None:
        raise ConfigError("a SOCKS proxy needs socksio: pip install 'greenws[socks]'")


def ask_socks(wire: Wire, address: Address, userinfo: tuple[str, str] | None) -> None:
    """Has the proxy connect to an address, whose name it resolves itself. Blocks the calling greenlet.

    Raises:
        ConnectError: the proxy refuses, or cannot be understood.
    """
    from socksio import SOCKSError, socks5

    methods = socks5.SOCKS5AuthMethod
    method = methods.NO_AUTH_REQUIRED if userinfo is None else methods.USERNAME_PASSWORD
    conn: Any = socks5.SOCKS5Connection()  # what receive_data returns depends on what was sent before
    try:
        if _ask(wire, conn, socks5.SOCKS5AuthMethodsRequest([method])).method != method:
            raise ConnectError("the proxy wants to know who we are in another way", is_final=True)
        if userinfo is not None:
            user, password = (text.encode() for text in userinfo)
            if not _ask(wire, conn, socks5.SOCKS5UsernamePasswordRequest(user, password)).success:
                raise ConnectError("the proxy does not accept the user and password", is_final=True)
        connect = socks5.SOCKS5Command.CONNECT
        conn.send(socks5.SOCKS5CommandRequest.from_address(connect, (address.host, address.port)))
        wire.send(conn.data_to_send())
        reply = conn.receive_data(_read_reply(wire))
    except (SOCKSError, ValueError, OverflowError) as error:  # the last two: a password or name beyond 255 bytes
        raise ConnectError(f"the proxy does not speak SOCKS 5 with us: {error}") from error
    if reply.reply_code != socks5.SOCKS5ReplyCode.SUCCEEDED:
        raise ConnectError(f"the proxy cannot connect: {reply.reply_code.name.lower().replace('_', ' ')}")


def _ask(wire: Wire, conn: Any, request: Any) -> Any:
    conn.send(request)
    wire.send(conn.data_to_send())
    return conn.receive_data(wire.read(2))


def _read_reply(wire: Wire) -> bytes:
    head = wire.read(4)
    size = _BOUND_SIZE.get(head[3])
    if size is None:
        length = wire.read(1)
        return head + length + wire.read(length[0] + 2)
    return head + wire.read(size + 2)
