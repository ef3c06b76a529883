"""What is asked of TLS by default (RFC 8446, RFC 7301), and its rehearsal."""

from __future__ import annotations

import ssl

from greenws.net.transport import TLS


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


def rehearse(context: ssl.SSLContext) -> None:
    """Does one handshake with itself, in memory: what OpenSSL does only once, it does before the first peer comes.

    It takes a few milliseconds. No code of the user's runs: a context that asks some which certificate to use is left.
    """
    if context.sni_callback is not None:
        return
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    client, server = TLS(trusting, server_side=False), TLS(context)
    try:
        flight = b""
        while not server.is_ready:
            client.receive(flight)
            server.receive(client.send(b""))
            flight = server.send(b"")
    except ssl.SSLError:
        pass  # such as a server that wants a certificate: it has been asked for, and that is most of it
