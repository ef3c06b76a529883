"""permessage-deflate (RFC 7692): what two sides agree on, and messages deflated and inflated.

Two laws. What the peer asks for is checked before a compressor hears of it. What comes out of its bytes is counted
while it comes out (see ``inflate``). ISA-L deflates where it is installed, for it is several times as fast as zlib;
both read what the other has written.

By default no context is taken over from one message to the next. Then all connections share what deflates and inflates,
and none of them holds anything.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from greenws.config import Compression

from .extensions import ExtensionOffer
from .inflate import TAIL, Inflater

_isal: Any = None
try:
    from isal import isal_zlib
except ImportError:  # there is none for this machine
    pass
else:
    _isal = isal_zlib

NAME = "permessage-deflate"
SERVER_FRESH, CLIENT_FRESH = "server_no_context_takeover", "client_no_context_takeover"
SERVER_BITS, CLIENT_BITS = "server_max_window_bits", "client_max_window_bits"
MAX_BITS = 15  # also what holds when nothing is said (RFC 7692 §7.1.2)

ISAL_LEVELS = 3  # ISA-L has no higher one

_NUMBER = re.compile(r"[89]|1[0-5]")  # §7.1.2: without leading zeros


@dataclass(frozen=True, slots=True)
class Agreement:
    """The four parameters as both sides hold to them (RFC 7692 §7.1)."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = MAX_BITS
    client_max_window_bits: int = MAX_BITS

    def to_header(self) -> str:
        """Returns the value of Sec-WebSocket-Extensions that says so."""
        parts = [NAME]
        parts += [name for name in (SERVER_FRESH, CLIENT_FRESH) if getattr(self, name)]
        bits = ((name, getattr(self, name)) for name in (SERVER_BITS, CLIENT_BITS))
        parts += [f"{name}={number}" for name, number in bits if number < MAX_BITS]
        return "; ".join(parts)


def choose_offer(offers: Iterable[ExtensionOffer], options: Compression) -> tuple[Agreement, str] | None:
    """Returns what a server agrees to and the header that says so, by the first offer it can accept; None without."""
    for offer in offers:
        if offer.name == NAME and (asked := _read(offer)) is not None and asked.get(SERVER_BITS, 0) is not None:
            agreement = _agree(asked, options)
            header = agreement.to_header()
            if SERVER_BITS in asked and SERVER_BITS not in header:  # who asks for it, is told (§7.1.2.1)
                header += f"; {SERVER_BITS}={MAX_BITS}"
            return agreement, header
    return None


def _read(extension: ExtensionOffer) -> dict[str, int | None] | None:
    """The parameters; None instead when one is unknown, comes twice, or has a value that it must not have (§7.1)."""
    found: dict[str, int | None] = {}
    for name, value in extension.parameters:
        if name in found:
            return None
        if name in (SERVER_BITS, CLIENT_BITS):
            if value is not None and not _NUMBER.fullmatch(value):
                return None
        elif name not in (SERVER_FRESH, CLIENT_FRESH) or value is not None:
            return None
        found[name] = None if value is None else int(value)
    return found


def _agree(asked: dict[str, int | None], options: Compression) -> Agreement:
    client_fresh = CLIENT_FRESH in asked or options.client_no_context_takeover
    client_bits = MAX_BITS
    if CLIENT_BITS in asked:
        client_bits = min(asked[CLIENT_BITS] or MAX_BITS, options.client_max_window_bits)
    elif options.client_max_window_bits < MAX_BITS:
        client_fresh = True  # it cannot be told to use a smaller window (§7.1.2.2), so we keep none for it
    return Agreement(
        SERVER_FRESH in asked or options.server_no_context_takeover,
        client_fresh,
        min(asked.get(SERVER_BITS) or MAX_BITS, options.server_max_window_bits),
        client_bits,
    )


def make_offer(options: Compression) -> str:
    """Returns a client's offer: the value of Sec-WebSocket-Extensions."""
    offer = Agreement(
        options.server_no_context_takeover,
        options.client_no_context_takeover,
        options.server_max_window_bits,
        options.client_max_window_bits,
    ).to_header()
    # Without a value it says that we would hold to a smaller window if the server wanted one (§7.1.2.2).
    return offer if options.client_max_window_bits < MAX_BITS else f"{offer}; {CLIENT_BITS}"


def read_answer(answer: ExtensionOffer, options: Compression) -> Agreement:
    """Returns what a server has agreed to.

    Raises:
        ValueError: that is no answer to our offer, so the connection must be failed (RFC 7692 §7.1).
    """
    said = _read(answer)
    if said is None or None in (said.get(SERVER_BITS, 0), said.get(CLIENT_BITS, 0)):
        raise ValueError("the server's parameters of permessage-deflate are not valid")
    agreement = Agreement(
        SERVER_FRESH in said,
        CLIENT_FRESH in said or options.client_no_context_takeover,
        said.get(SERVER_BITS) or MAX_BITS,
        said.get(CLIENT_BITS) or options.client_max_window_bits,
    )
    if options.server_no_context_takeover and not agreement.server_no_context_takeover:  # §7.1.1.1
        raise ValueError("the server does not promise server_no_context_takeover")
    if agreement.server_max_window_bits > options.server_max_window_bits:  # §7.1.2.1
        raise ValueError("the server's window is larger than was asked for")
    if agreement.client_max_window_bits > options.client_max_window_bits:  # §7.1.2.2
        raise ValueError("the server allows a larger window than was offered")
    return agreement


class Compressor:
    """Deflates messages. Without a context of its own it serves any number of connections, in any threads.

    Args:
        level: 1 to 9.
        bits: of the window.
        has_context: whether a message may refer to those before it.
    """

    __slots__ = ("_bits", "_idle", "_level", "has_context")

    def __init__(self, level: int, bits: int, has_context: bool) -> None:
        self.has_context = has_context
        self._level = level
        self._bits = bits
        self._idle: list[Any] = []  # one, unless several threads deflate at once; none before the first message

    def encode(self, payload: bytes) -> bytes | None:
        """Returns the payload of a frame whose RSV1 is set (RFC 7692 §7.2.1).

        Returns None when it would be no smaller and may as well go as it is. In a context it may not: what was put into
        it must reach the peer.
        """
        try:
            stream = self._idle.pop()  # so that no other thread has it now, and none gets it if this fails
        except IndexError:
            stream = self._new()
        # A full flush forgets all that was before, as a new compressor would: nothing of one peer reaches another.
        deflated: bytes = stream.compress(payload)
        deflated += stream.flush(zlib.Z_SYNC_FLUSH if self.has_context else zlib.Z_FULL_FLUSH)
        self._idle.append(stream)
        if len(deflated) - len(TAIL) >= len(payload) and not self.has_context:
            return None
        return deflated[: -len(TAIL)]

    def lend(self) -> Any:
        """Returns what deflates one long message: the context's, or a new one, so that nothing waits for it."""
        return self._idle.pop() if self.has_context and self._idle else self._new()

    def give_back(self, stream: Any) -> None:
        """Takes back what was lent when the message is over. Without a context it is not used again."""
        if self.has_context:
            self._idle.append(stream)

    def _new(self) -> Any:
        # zlib cannot have 8, but with 9 it refers to at most 512 - 262 bytes before (deflate.h, MAX_DIST).
        bits = max(9, self._bits)
        # A smaller window saves ISA-L nothing: it would be 65 KB for each connection, where zlib's 12 bits take 39.
        has_small_context = self.has_context and self._bits < MAX_BITS
        if _isal is not None and self._level <= ISAL_LEVELS and self._bits > 8 and not has_small_context:
            return _isal.compressobj(self._level, zlib.DEFLATED, -bits)
        # The table of matches shrinks with the window: 128 KiB and 128 KiB, down to 2 and 2.
        return zlib.compressobj(self._level, zlib.DEFLATED, -bits, bits - 7)


class Deflation:
    """One message deflated piece by piece. Each piece is flushed, so that the peer can read it when it arrives.

    It must be sent to its end, or the connection be given up: till then nothing else may be deflated in its context.
    """

    __slots__ = ("_compressor", "_stream")

    def __init__(self, compressor: Compressor) -> None:
        self._compressor = compressor
        self._stream = compressor.lend()

    def encode(self, piece: bytes) -> bytes:
        """Returns the payload of the next frame, of which only the first has RSV1 set."""
        deflated: bytes = self._stream.compress(piece)
        deflated += self._stream.flush(zlib.Z_SYNC_FLUSH)
        return deflated

    def finish(self) -> bytes:
        """Returns the payload of the last frame: an empty block, whose end is the tail that is not sent (§7.2.1)."""
        self._compressor.give_back(self._stream)
        return b"\x00"


class Deflate:
    """One side of an agreement. Deflates what is sent and inflates what comes.

    Attributes:
        compressor: for what is sent; without a context it is one for all connections that have agreed on the same.
        threshold: the size from which on messages are deflated unasked.
        encode: deflates a message.
        begin: begins to inflate one.
    """

    __slots__ = ("begin", "compressor", "encode", "threshold")

    def __init__(self, compressor: Compressor, threshold: int, inflater: Inflater) -> None:
        self.compressor = compressor
        self.threshold = threshold
        self.encode = compressor.encode
        self.begin = inflater.begin


_compressors: dict[tuple[int, int], Compressor] = {}
_shared: dict[tuple[Compressor, int], Deflate] = {}


def make_deflate(agreement: Agreement, options: Compression, *, is_server: bool) -> Deflate:
    """Returns one side of an agreement: the same object for all connections as far as no context makes a difference."""
    server = not agreement.server_no_context_takeover, agreement.server_max_window_bits
    client = not agreement.client_no_context_takeover, agreement.client_max_window_bits
    (out_context, out_bits), (in_context, in_bits) = (server, client) if is_server else (client, server)
    if out_context:
        compressor = Compressor(options.level, out_bits, True)
    else:
        compressor = _compressors.setdefault((options.level, out_bits), Compressor(options.level, out_bits, False))
    if out_context or in_context:
        return Deflate(compressor, options.threshold, Inflater(in_bits, in_context))
    # A window of any size inflates what was made for a smaller one.
    shared = Deflate(compressor, options.threshold, Inflater(MAX_BITS, False))
    return _shared.setdefault((compressor, options.threshold), shared)
