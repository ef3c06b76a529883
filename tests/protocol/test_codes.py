"""Which close codes may be on the wire (RFC 6455 §7.4, and the IANA registry)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        pytest.param(range(1000), False, id="not used"),
        pytest.param(range(1000, 1004), True, id="RFC 6455"),
        pytest.param(range(1004, 1007), False, id="K2 reserved, no status, abnormal"),
        pytest.param(range(1007, 1012), True, id="RFC 6455, from 1007"),
        pytest.param(range(1012, 1015), True, id="K3 IANA"),
        pytest.param(range(1015, 3000), False, id="K2 TLS, and nobody's"),
        pytest.param(range(3000, 5000), True, id="libraries and applications"),
        pytest.param(range(5000, 65537), False, id="too high"),
        pytest.param([-1, -1000, 2**16 + 1000, 2**32 + 1000, 2**64], False, id="not 16 bits"),
    ],
)
def test_may_be_sent(codec: SimpleNamespace, codes: range | list[int], expected: bool) -> None:
    assert [code for code in codes if codec.codes.may_be_sent(code) is not expected] == []


def test_the_names_of_codes(codec: SimpleNamespace) -> None:
    names = {code.name: int(code) for code in codec.codes.CloseCode}
    assert names == {
        "NORMAL": 1000,
        "GOING_AWAY": 1001,
        "PROTOCOL_ERROR": 1002,
        "UNSUPPORTED_DATA": 1003,
        "NO_STATUS": 1005,
        "ABNORMAL": 1006,
        "INVALID_DATA": 1007,
        "POLICY_VIOLATION": 1008,
        "MESSAGE_TOO_BIG": 1009,
        "MANDATORY_EXTENSION": 1010,
        "INTERNAL_ERROR": 1011,
        "SERVICE_RESTART": 1012,
        "TRY_AGAIN_LATER": 1013,
        "BAD_GATEWAY": 1014,
        "TLS_FAILED": 1015,
    }
    never = {name for name, code in names.items() if not codec.codes.may_be_sent(code)}
    assert never == {"NO_STATUS", "ABNORMAL", "TLS_FAILED"}


def test_the_names_of_opcodes(codec: SimpleNamespace) -> None:
    assert {opcode.name: int(opcode) for opcode in codec.codes.Opcode} == {
        "CONTINUATION": 0,
        "TEXT": 1,
        "BINARY": 2,
        "CLOSE": 8,
        "PING": 9,
        "PONG": 10,
    }
