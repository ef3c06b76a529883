from greenws.net.message_stream import MessageStream
from greenws.net.receiver import Receiver
from greenws.protocol.events import Chunk

class Inflow(Receiver):
    def receive_stream(self, timeout: float | None = None) -> MessageStream: ...
    def next_chunk(self, number: int) -> Chunk: ...
