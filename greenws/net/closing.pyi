from greenws.net.inflow import Inflow

class Closing(Inflow):
    def close(self, code: int = 1000, reason: str = "") -> None: ...
