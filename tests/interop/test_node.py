"""ws (https://github.com/websockets/ws), the WebSocket client of Node. What it says is in client.mjs."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.interop.app import STYLES

HERE = Path(__file__).parent
CONVERSATIONS = [f"{name} {style}" for name in ("echo", "mebibyte", "fragments") for style in STYLES]
CONVERSATIONS += ["ping", "subprotocol", "closed", "closing", "terminating", "refused", "accepted"]


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_converses(server: SimpleNamespace, node: str, conversation: str) -> None:
    if not (HERE / "node_modules" / "ws").is_dir():
        pytest.skip("the module ws is not there; in tests/interop: npm ci")
    command = [node, "client.mjs", server.url(""), conversation]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=15)
    assert done.returncode == 0, done.stderr
