"""The WSGI environ of a request, made from its strict head (PEP 3333).

Ordinary Python; environ.pxd types it for the compiler.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

from greenws.protocol.http import RequestHead, environ_headers


def make_environ(base: dict[str, Any], head: RequestHead, address: Any) -> dict[str, Any]:
    """Returns ``base``, which is changed, with what the request says. ``wsgi.input`` is left to the caller.

    Args:
        base: the server's own values.
        head: the request.
        address: the peer's, a tuple for TCP.
    """
    base["REQUEST_METHOD"] = head.method
    base["SCRIPT_NAME"] = ""
    base["PATH_INFO"] = unquote_to_bytes(head.path).decode("latin-1") if "%" in head.path else head.path
    base["QUERY_STRING"] = head.query
    base["SERVER_PROTOCOL"] = "HTTP/" + head.version
    base["RAW_URI"] = base["REQUEST_URI"] = head.target
    if isinstance(address, tuple):
        base["REMOTE_ADDR"] = str(address[0])
        base["REMOTE_PORT"] = str(address[1])
    else:
        base["REMOTE_ADDR"] = ""  # a Unix socket's peer has no name
    base.update(environ_headers(head))
    return base
