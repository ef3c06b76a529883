"""What is asked of TLS by default (RFC 8446, RFC 7301)."""

from __future__ import annotations

import ssl


def make_context(certfile: str, keyfile: str | None = None) -> ssl.SSLContext:
    """Returns the context of a server with this certificate: TLS 1.2 and 1.3, HTTP/1.1."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certfile, keyfile)
    return speak_http(context)


def speak_http(context: ssl.SSLContext) -> ssl.SSLContext:
    """Tells clients that ask (ALPN) what is spoken here, and refuses to renegotiate, which only costs. Returns it."""
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context
