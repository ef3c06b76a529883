"""picows on uvloop, answering from its callback, as its documentation does."""

import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

members: set[WSTransport] = set()


class Echo(WSListener):
    """Sends back what it gets."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answers a message; pings are answered by the library."""
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()


class FanOut(WSListener):
    """Sends what it gets to everybody."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Adds a member."""
        members.add(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Sends a message to all."""
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            payload = frame.get_payload_as_bytes()
            for member in members:
                member.send(frame.msg_type, payload)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Takes a member out."""
        members.discard(transport)


def listener(request: WSUpgradeRequest) -> WSListener:
    """Chooses by path."""
    return FanOut() if request.path == b"/fanout" else Echo()


async def main() -> None:
    """Serves until it is ended."""
    ping = {"enable_auto_ping": True, "auto_ping_idle_timeout": 25, "auto_ping_reply_timeout": 20}
    options = ping if "pings" in sys.argv[2:] else {}
    server = await ws_create_server(listener, "127.0.0.1", int(sys.argv[1]), backlog=4096, **options)
    await server.serve_forever()


uvloop.run(main())
