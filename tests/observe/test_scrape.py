"""A real server, real peers, and a scrape read by Prometheus's own parser."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from flask import Flask
from gevent import socket

from greenws import ConfigError, ConnectionPool, GreenWS, broadcast
from greenws.observe import process
from greenws.server import WSGIServer
from tests.hostile.peer import ask
from tests.observe.conftest import DEADLINE, Served, fetch
from tests.wire import BEGIN_TEXT, CLOSE, LAST, PING, TEXT, frame, header

Serve = Callable[..., Served]
EVENT, VIEW = "/event/<name>", "/view/<name>"
PLAIN = b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


# ---- where


def test_without_the_setting_nothing_is_loaded_listened_on_or_answered() -> None:
    program = (
        "import sys; from flask import Flask; from greenws import GreenWS; app = Flask('a'); GreenWS(app);"
        "print(app.test_client().get('/metrics').status_code, app.extensions['greenws'].metrics,"
        "sorted(name for name in sys.modules if 'prometheus' in name or 'greenws.observe' in name))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["404", "None", "[]"]


def test_a_port_of_their_own_has_them_and_the_public_one_has_not(serve: Serve) -> None:
    served = serve()
    assert fetch(served.metrics.address)[0] == 200
    assert fetch(served.metrics.address, "/")[0] == 404
    assert fetch(served.server.address)[0] == 404


def test_a_path_is_the_applications(serve: Serve) -> None:
    served = serve(metrics="/hidden/metrics")
    assert served.metrics.address is None
    status, text = fetch(served.server.address, "/hidden/metrics")
    assert status == 200
    assert "greenws_connections_open" in text
    assert fetch(served.server.address)[0] == 404


def test_they_end_with_the_last_server(serve: Serve) -> None:
    served = serve()
    second = WSGIServer(("127.0.0.1", 0), served.app, log=None)
    second.start()
    address = served.metrics.address
    served.server.stop(DEADLINE)
    assert fetch(address)[0] == 200
    second.stop(DEADLINE)
    assert served.metrics.address is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_a_port_that_is_taken_is_logged_and_the_application_is_served(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = serve().metrics.address
    served = serve(metrics=f"{host}:{port}")
    assert f"metrics cannot be served at {host}:{port}" in caplog.text
    served.open()


@pytest.mark.parametrize("value", ["metrics", "127.0.0.1", "127.0.0.1:", ":x", "a:70000", 9464, "a:²"])
def test_a_place_that_cannot_be_is_a_config_error(value: Any) -> None:
    with pytest.raises(ConfigError, match="metrics must be"):
        GreenWS(Flask("a"), metrics=value)


def test_without_prometheus_client_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "greenws.observe.exposition", None)
    with pytest.raises(ConfigError, match=r"greenws\[metrics\]"):
        GreenWS(Flask("a"), metrics="/metrics")


def test_only_reading_is_allowed(serve: Serve) -> None:
    with socket.create_connection(serve().metrics.address, DEADLINE) as sock:
        sock.sendall(b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 405"


# ---- what


def test_every_route_is_there_before_anybody_came(serve: Serve) -> None:
    found = serve().scrape()
    assert found.of("greenws_connections_open") == {(EVENT,): 0, (VIEW,): 0}


@pytest.mark.parametrize(("path", "rule"), [("/event/a", EVENT), ("/view/a", VIEW)])
def test_connections_messages_and_bytes(serve: Serve, path: str, rule: str) -> None:
    served = serve()
    messages = [frame(TEXT, b"hello"), frame(BEGIN_TEXT, b"he") + frame(LAST, b"llo")]
    sock = served.open(path, b"".join(messages))
    served.until(sock, b"hello\x81\x05hello")
    found = served.scrape()
    assert (found["greenws_connections_open", rule], found["greenws_connections_total", rule]) == (1, 1)
    assert found["greenws_messages_received_total", rule] == found["greenws_messages_sent_total", rule] == 2
    assert found["greenws_bytes_received_total", rule] == sum(map(len, messages))
    assert found["greenws_bytes_sent_total", rule] == 2 * len(b"\x81\x05hello")
    sock.sendall(frame(CLOSE, b"\x03\xe8"))
    served.wait_until(lambda: not served.connections)
    found = served.scrape()
    assert (found["greenws_connections_open", rule], found["greenws_connections_total", rule]) == (0, 1)
    assert found.of("greenws_closes_total") == {(rule, "1000"): 1}


def test_bytes_that_wait_for_a_full_inbox_are_counted_once(serve: Serve) -> None:
    served = serve(inbox_size=2)
    wire = frame(TEXT, b"sleep") + frame(TEXT, b"hello") * 9
    sock = served.open(wire=wire)
    served.until(sock, b"\x81\x05hello" * 9)
    assert served.scrape()["greenws_bytes_received_total", EVENT] == len(wire)


def test_a_message_as_a_stream_is_one_message(serve: Serve) -> None:
    served = serve(max_message_size=1000, max_stream_size=1 << 20)
    large = bytes(200_000)
    served.ws.route("/copy", endpoint="copy")(lambda conn: conn.send_stream(conn.receive_stream()))
    sock = served.open("/copy", frame(0x82, large))
    served.wait_until(lambda: served.scrape()["greenws_messages_sent_total", "/copy"])
    found = served.scrape()
    assert found["greenws_messages_received_total", "/copy"] == found["greenws_messages_sent_total", "/copy"] == 1
    assert found["greenws_bytes_received_total", "/copy"] == len(frame(0x82, large))
    sock.close()


def test_handshakes_by_the_status_of_their_answer(serve: Serve) -> None:
    served = serve(max_line_size=100)
    served.open()
    for wire, status in (
        (ask("/event/a", b"Origin: https://evil.example"), b"403"),
        (ask("/nowhere"), b"404"),
        (ask("/event/" + "a" * 100), b"414"),
        (PLAIN % b"/nowhere", b"404"),
    ):
        assert served.send(wire).recv(12) == b"HTTP/1.1 " + status
    found = served.scrape()
    assert found.of("greenws_handshakes_total") == {("101",): 1, ("403",): 1, ("404",): 1}
    assert found.of("greenws_refused_heads_total") == {("414",): 1}


@pytest.mark.parametrize(("path", "rule"), [("/event/a", EVENT), ("/view/a", VIEW)])
def test_the_time_of_handlers(serve: Serve, path: str, rule: str) -> None:
    served = serve()
    sock = served.open(path, frame(TEXT, b"sleep"))
    served.until(sock, b"sleep")
    gevent.sleep(0)  # the view has asked for the next message
    found = served.scrape()
    assert found["greenws_handler_seconds_count", rule] == 1
    assert 0.02 <= found["greenws_handler_seconds_sum", rule] < DEADLINE
    assert found["greenws_handler_seconds_bucket", rule, "0.01"] == 0
    assert found["greenws_handler_seconds_bucket", rule, "+Inf"] == 1


def test_a_slow_reader(serve: Serve) -> None:
    served = serve(write_timeout=0.2)
    served.open(wire=frame(TEXT, b"flood"))
    served.wait_until(lambda: served.scrape()["greenws_slow_consumers", EVENT])
    found = served.scrape()
    assert found["greenws_send_queue_bytes", EVENT] >= 1 << 20
    assert found["greenws_high_water_total", EVENT] == 1
    assert found["greenws_greenlets", "handler"] == 1
    served.wait_until(lambda: not served.connections)
    found = served.scrape()
    assert (found["greenws_slow_consumers", EVENT], found["greenws_send_queue_bytes", EVENT]) == (0, 0)
    assert found["greenws_slow_consumers_closed_total", EVENT] == 1
    assert found.of("greenws_closes_total") == {(EVENT, "1008"): 1}
    assert found.of("greenws_limits_total") == {("high_water_mark",): 1, ("write_timeout",): 1}


def test_broadcasts_to_a_slow_reader(serve: Serve) -> None:
    served = serve(high_water_mark=1 << 16)
    served.open_pair()
    messages = [bytes(1 << 20)] * 20
    for message in messages:  # until the kernel takes no more
        broadcast(served.connections, message, "drop")
    taken = served.scrape()["greenws_messages_sent_total", EVENT]
    assert served.scrape()["greenws_broadcasts_dropped_total", EVENT] == len(messages) - taken
    for policy, dropped, closed in (("latest", 0, 0), ("latest", 1, 0), ("latest", 2, 0), ("close", 2, 1)):
        broadcast(served.connections, b"x", policy)
        found = served.scrape()
        assert found["greenws_broadcasts_dropped_total", EVENT] == len(messages) - taken + dropped
        assert found["greenws_slow_consumers_closed_total", EVENT] == closed


def test_pings_and_their_latency(serve: Serve) -> None:
    served = serve()
    sock = served.open()
    asking = gevent.spawn(served.connections[0].ping, DEADLINE)
    ping = served.until(sock, b"\x89\x04\x00\x00\x00\x01")
    assert served.scrape()["greenws_ping_latency_seconds_count", EVENT] == 0
    sock.sendall(frame(0x8A, ping[2:]))
    seconds = asking.get(timeout=DEADLINE)
    found = served.scrape()
    assert found["greenws_pings_sent_total", EVENT] == found["greenws_ping_latency_seconds_count", EVENT] == 1
    assert found["greenws_ping_latency_seconds_sum", EVENT] == pytest.approx(seconds, abs=1e-6)


def test_limits_are_those_of_the_extension(serve: Serve) -> None:
    served = serve(max_message_size=10, max_control_rate=1)
    served.until(served.open(wire=header(TEXT, 11) + bytes(4)), b"\x88")
    served.until(served.open(wire=frame(PING) * 4), b"\x88")
    limits = {(name,): count for name, count in served.app.extensions["greenws"].registry.limits.items()}
    assert served.scrape().of("greenws_limits_total") == limits == {("max_message_size",): 1, ("max_control_rate",): 1}


def test_messages_that_wait_for_a_handler(serve: Serve) -> None:
    served = serve()
    sock = served.open(wire=frame(TEXT, b"sleep") + frame(TEXT, b"a") * 3)
    assert served.scrape()["greenws_inbox_messages", EVENT] == 3
    served.until(sock, b"\x81\x01a" * 3)
    assert served.scrape()["greenws_inbox_messages", EVENT] == 0


def test_greenlets_by_what_they_are_for(serve: Serve) -> None:
    served = serve()
    served.open()
    served.open("/view/a")
    served.connections[0].spawn(gevent.sleep, DEADLINE)
    found = served.scrape().of("greenws_greenlets")
    assert found == {("handler",): 0, ("upgrade",): 0, ("view",): 1, ("spawned",): 1}


def test_client_pools_without_their_secrets(serve: Serve) -> None:
    served = serve()
    url = f"ws://user:secret@127.0.0.1:{served.server.address[1]}/event/a?token=secret"
    with ConnectionPool(url) as pool:
        pool.warm_up(2)
        with pool.lease() as conn:
            conn.send("hi")
            assert conn.receive(DEADLINE) == "hi"
            found = served.scrape()
        name = f"ws://127.0.0.1:{served.server.address[1]}/event/a"
        assert found["greenws_pool_connections", name, "leased"] == 1
        assert found["greenws_pool_opened_total", name] == 2
        assert found["greenws_pool_leases_total", name] == 1
        assert found["greenws_connections_open", EVENT] == 2


def test_a_hub_that_was_held_shows_as_lag(serve: Serve) -> None:
    served = serve()
    until = gevent.get_hub().loop.now() + 0.15
    while gevent.get_hub().loop.now() < until:
        gevent.get_hub().loop.update_now()
    gevent.sleep(0.01)
    assert served.scrape()["greenws_hub_lag_seconds_sum"] >= 0.04  # due 0.1 s after the start


def test_collections_show_as_pauses(serve: Serve) -> None:
    import gc

    served = serve()
    before = served.scrape()["greenws_gc_pause_seconds_count", "2"]
    gc.collect()
    found = served.scrape()
    assert found["greenws_gc_pause_seconds_count", "2"] == before + 1
    assert found["greenws_gc_pause_seconds_sum", "2"] > 0


def test_what_the_system_says_of_process_and_machine(serve: Serve) -> None:
    found = serve().scrape()
    if sys.platform != "linux":
        pytest.skip("read from /proc")
    for name in ("cpu_seconds_total", "open_fds", "max_fds", "virtual_memory_bytes", "resident_memory_bytes"):
        assert all(value > 0 for value in found.of(f"process_{name}").values())
        assert len(found.of(f"process_{name}")) == 1
    for name in ("node_netstat_Tcp_ActiveOpens", "node_memory_MemAvailable_bytes", "node_filefd_allocated"):
        assert found[name] > 0


# ---- bounds


@pytest.mark.slow
def test_a_thousand_paths_and_codes_make_no_further_series(serve: Serve) -> None:
    served = serve()
    random.seed(1)
    before = len(served.scrape().samples)
    for _ in range(500):
        code = random.choice([random.randrange(3000, 5000), *range(1000, 1004), *range(1007, 1015)])
        sock = served.open(f"/event/{random.randbytes(8).hex()}", frame(TEXT, str(code).encode()))
        served.until(sock, b"\x88\x02")
        sock.close()
        with served.send(ask(f"/{random.randbytes(8).hex()}")) as sock:
            assert sock.recv(12) == b"HTTP/1.1 404"
    served.wait_until(lambda: not served.connections)
    found = served.scrape()
    closes = found.of("greenws_closes_total")
    assert sum(closes.values()) == 500
    assert closes[EVENT, "other"] > 20
    assert {code for _, code in closes} <= {"other", *map(str, range(1000, 1016))}
    assert len(found.samples) <= before + len(closes) + 3  # statuses 101 and 404, and a limit


def test_an_unheard_of_status_is_other(serve: Serve) -> None:
    served = serve()
    served.app.before_request(lambda: ("", 799))
    served.send(ask("/event/a")).recv(12)
    assert served.scrape().of("greenws_handshakes_total") == {("other",): 1}


def test_pools_beyond_the_bound_share_a_label(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MAX_POOLS", 2)
    pools = [ConnectionPool(f"ws://127.0.0.1/{number}") for number in range(5)]
    found = serve().scrape().of("greenws_pool_waiting")
    assert len(found) == 3
    assert ("other",) in found
    del pools


# ---- who else runs meanwhile


def test_others_run_while_many_connections_are_looked_at(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SLICE", 1)
    served = serve()
    for _ in range(5):
        served.open()
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    counting = gevent.spawn(count)
    served.metrics.read()
    counting.kill()
    assert turns >= 4
