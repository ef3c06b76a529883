from greenws.net.reactor import Reactor

class Turn:
    def __init__(self, reactor: Reactor) -> None: ...
