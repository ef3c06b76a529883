from collections.abc import Callable
from typing import Any, Literal

from typing_extensions import Buffer

from greenws.config import Config
from greenws.net.connection import Connection
from greenws.net.counts import Counts
from greenws.net.heartbeat import Rhythm
from greenws.net.message_stream import MessageStream
from greenws.net.registry import Registry
from greenws.net.stream import Stream
from greenws.protocol.deflate import Deflate

class Service:
    on_message: Callable[[Connection, str | bytes], object] | None
    on_stream: Callable[[Connection, MessageStream], object] | None
    on_close: Callable[[Connection, int, str], object] | None
    on_error: Callable[[Connection, BaseException], object] | None
    between: Callable[[Connection], object] | None
    around: Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any] | None
    dumps: Callable[[Any], str]
    loads: Callable[[str | bytes], Any]
    ends_quietly: bool
    def __init__(
        self,
        config: Config,
        registry: Registry,
        name: str = "",
        *,
        is_server: bool = True,
        on_message: Callable[[Connection, str | bytes], object] | None = None,
        on_stream: Callable[[Connection, MessageStream], object] | None = None,
        on_close: Callable[[Connection, int, str], object] | None = None,
        on_error: Callable[[Connection, BaseException], object] | None = None,
        between: Callable[[Connection], object] | None = None,
        around: Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any] | None = None,
        dumps: Callable[[Any], str] = ...,
        loads: Callable[[str | bytes], Any] = ...,
    ) -> None: ...
    @property
    def config(self) -> Config: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def name(self) -> str: ...
    @property
    def rhythm(self) -> Rhythm | None: ...
    @property
    def is_server(self) -> bool: ...
    @property
    def counts(self) -> Counts: ...

class Sender(Stream):
    @property
    def service(self) -> Service: ...
    @property
    def deflate(self) -> Deflate | None: ...
    def send(self, message: str | Buffer, compress: bool | None = None) -> None: ...
    def send_json(self, value: Any, compress: bool | None = None) -> None: ...

def as_bytes(message: Buffer) -> bytes: ...
def offer(
    connection: Sender, frame: bytes, policy: Literal["close", "drop", "latest"], payload: bytes | None = None
) -> Literal[0, 1, 2]: ...
