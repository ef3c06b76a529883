from greenws.net.receiver import Receiver

class Closing(Receiver):
    def close(self, code: int = 1000, reason: str = "") -> None: ...
