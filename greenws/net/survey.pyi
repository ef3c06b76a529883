from greenws.net.connection import Connection

class Waiting:
    queued: int
    slow: int
    inbox: int
    spawned: int
    def __init__(self) -> None: ...

def survey(connections: list[Connection], found: dict[str, Waiting]) -> None: ...
