from gevent.hub import Hub

from greenws.net.wheel import Item

class TurnTaker(Item): ...

class Line:
    def __init__(self, hub: Hub) -> None: ...
