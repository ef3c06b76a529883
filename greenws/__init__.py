"""WebSockets for Flask on gevent: connections that are parked, not greenlets that are blocked."""

from importlib.metadata import version as _version

from greenws.client.connect import connect
from greenws.client.pool import ConnectionPool
from greenws.client.reconnect import reconnect
from greenws.config import Compression, Config, SocketOptions
from greenws.errors import (
    ConfigError,
    ConnectionClosed,
    GreenWSError,
    HandshakeError,
    OperationTimeout,
    PoolTimeout,
    ProtocolError,
    StateError,
)
from greenws.flaskext.endpoint import Endpoint
from greenws.flaskext.extension import GreenWS
from greenws.net.broadcast import broadcast
from greenws.net.connection import Connection
from greenws.net.message_stream import MessageStream
from greenws.protocol.codes import CloseCode

__version__ = _version("greenws")

__all__ = [
    "CloseCode",
    "Compression",
    "Config",
    "ConfigError",
    "Connection",
    "ConnectionClosed",
    "ConnectionPool",
    "Endpoint",
    "GreenWS",
    "GreenWSError",
    "HandshakeError",
    "MessageStream",
    "OperationTimeout",
    "PoolTimeout",
    "ProtocolError",
    "SocketOptions",
    "StateError",
    "broadcast",
    "connect",
    "reconnect",
]
