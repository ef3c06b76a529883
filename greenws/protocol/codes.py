"""Opcodes and close codes (RFC 6455 §5.2, §7.4; the IANA registry for 1012 to 1014)."""

from __future__ import annotations

from enum import IntEnum


class Opcode(IntEnum):
    """What a frame carries (RFC 6455 §5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Why a connection ended (RFC 6455 §7.4.1). 3000 to 3999 are for libraries, 4000 to 4999 for applications."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005  # never on the wire: the Close frame was empty
    ABNORMAL = 1006  # never on the wire: there was no Close frame
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_FAILED = 1015  # never on the wire: the TLS handshake failed


def may_be_sent(code: int) -> bool:
    """Whether a Close frame may carry this code (RFC 6455 §7.4.2). Used in both directions."""
    return 3000 <= code <= 4999 or 1000 <= code <= 1003 or 1007 <= code <= 1014
