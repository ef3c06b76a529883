"""A locustfile: one user does everything once, and what locust was told is written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gevent
from locust import constant, events, task
from locust.exception import RescheduleTask, StopUser

from greenws import StateError
from greenws.locust import WebSocketUser

told: list[dict[str, Any]] = []
said: dict[str, Any] = {}


@events.request.add_listener
def note(request_type: str, name: str, response_time: float | None, exception: object, context: Any, **_: Any) -> None:
    told.append({"row": f"{request_type} {name}", "ms": response_time, "error": repr(exception), "context": context})


@events.quitting.add_listener
def write(environment: Any, **_: object) -> None:
    said["aggregate"] = environment.stats.total.num_requests
    Path("told.json").write_text(json.dumps({"told": told, "said": said}))


class Everything(WebSocketUser):
    wait_time = constant(0)
    expected_closes = frozenset((1012,))
    timeout = 5.0

    def context(self) -> dict[str, Any]:
        return {"who": "me"}

    def delay_before_reconnect(self, code: int | None) -> float:
        return 0.0

    def key_of(self, message: Any) -> object:
        return json.loads(message)["id"] if message.startswith('{"id"') else None

    def sent_at(self, message: Any) -> float | None:
        return json.loads(message)["at"] if '"at"' in message else None

    def fails(self, function: Any, *args: Any, **kwargs: Any) -> bool:
        """Whether a call ends the task, as what has failed does."""
        try:
            function(*args, **kwargs)
        except RescheduleTask:
            return True
        return False

    def use(self, path: str) -> None:
        self.close()
        self.path = path

    @task
    def everything(self) -> None:
        for step in (self.echo, self.answers, self.pushes, self.late, self.ends, self.refusal, self.nobody):
            step()
        gevent.spawn_later(0.1, self.environment.runner.quit)
        raise StopUser

    def echo(self) -> None:
        self.use("/echo")
        said["echo"] = self.request("hello", name="echo")  # connects by itself
        self.send("unasked")
        try:
            self.connect()
        except StateError:
            said["connects twice"] = "StateError"

    def answers(self) -> None:
        self.use("/answers")
        texts = {key: json.dumps({"id": key}) for key in ("a", "b")}
        pending = {key: gevent.spawn(self.request, text, key=key, name="by key") for key, text in texts.items()}
        said["by key"] = {key: json.loads(one.get())["id"] for key, one in pending.items()}

    def pushes(self) -> None:
        self.use("/pushes")
        self.send("one")
        said["expected"] = json.loads(self.expect(lambda message: "one" in message))["text"]
        self.send("two")
        while len([one for one in told if one["row"] == "WSR push"]) < 3:
            gevent.sleep(0.01)
        said["kept"] = json.loads(self.expect(lambda message: "welcome" in message, name="from the inbox"))["type"]
        said["never"] = self.fails(self.expect, lambda message: False, timeout=0.05, name="never")

    def late(self) -> None:
        self.use("/late")
        said["late"] = self.fails(self.request, "first", timeout=0.05, name="too late")
        said["after"] = self.request("second", name="after it")

    def ends(self) -> None:
        self.use("/ends/1012")
        said["ended"] = self.fails(self.request, "x", name="ended")
        self.use("/ends/4000")
        said["dropped"] = self.fails(self.request, "x", name="dropped")
        said["reconnects"] = self.fails(self.request, "x", name="dropped again")

    def refusal(self) -> None:
        self.use("/nowhere")
        said["refused"] = [self.connect(name="refused"), self.fails(self.send, "x")]

    def nobody(self) -> None:
        said["nobody"] = self.connect("ws://127.0.0.1:9/", name="nobody")
