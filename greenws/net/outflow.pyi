from collections.abc import Iterable
from typing import Protocol

from typing_extensions import Buffer

from greenws.net.sender import Sender

class _Readable(Protocol):
    def read(self, size: int, /) -> str | Buffer: ...

class Outflow(Sender):
    def send_stream(
        self, source: Iterable[str] | Iterable[Buffer] | _Readable, compress: bool | None = None
    ) -> None: ...
