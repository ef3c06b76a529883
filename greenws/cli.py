"""The ``greenws`` command."""

from __future__ import annotations

import errno
import json
import signal
import sys
from typing import Any

import click

from greenws.bench.plan import MODES, Plan
from greenws.errors import ConfigError, LoadFailed


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="greenws")
def main() -> None:
    """WebSockets for Flask on gevent."""


@main.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog="gunicorn's other options work too, its configuration file included: see `gunicorn --help`. Without effect "
    "are those about reading a request: its limits, --keep-alive, --proxy-protocol and --forwarded-allow-ips.",
)
@click.argument("application", metavar="MODULE:APP")
@click.option(
    "-b", "--bind", multiple=True, metavar="ADDRESS", help="HOST:PORT or unix:PATH; may repeat. [127.0.0.1:8000]"
)
@click.option("-w", "--workers", type=click.IntRange(1), metavar="N", help="Processes; as many as cores is plenty. [1]")
@click.option("--chdir", metavar="DIR", help="Change to this folder before the application is loaded.")
@click.option("--certfile", metavar="FILE", help="Serve https and wss with this certificate.")
@click.option("--keyfile", metavar="FILE", help="The certificate's key.")
@click.option("--reload", is_flag=True, help="Restart when a source file changes. For development.")
@click.option("--access-log", is_flag=True, help="Write a line for each request to standard output.")
@click.option("-c", "--config", metavar="FILE", help="gunicorn's configuration file.")
@click.pass_context
def run(context: click.Context, /, application: str, access_log: bool, **options: Any) -> None:
    """Serve an application: gunicorn's process model with our worker.

    \b
    greenws run module:app
    greenws run "module:create_app()" --workers 2 --bind 0.0.0.0:8000
    """  # noqa: D301 - click wants the backspace itself before lines that are to stay apart
    arguments = []
    for name, value in options.items():
        if value is True:
            arguments.append(f"--{name}")
        elif isinstance(value, tuple):
            arguments += [f"--{name}={item}" for item in value]
        elif value:
            arguments.append(f"--{name}={value}")
    if access_log:
        arguments.append("--access-logfile=-")
    _run_gunicorn([*arguments, *context.args, application])


def _run_gunicorn(arguments: list[str]) -> None:
    from gunicorn.app.wsgiapp import WSGIApplication

    class Application(WSGIApplication):
        def load_default_config(self) -> None:
            super().load_default_config()
            self.cfg.set("worker_class", "greenws.server.gunicorn.GreenWorker")
            # From gunicorn 24 on it would open a socket in the home folder.
            if "control_socket_disable" in self.cfg.settings:
                self.cfg.set("control_socket_disable", True)

    sys.argv = ["greenws run", *arguments]
    Application("%(prog)s MODULE:APP", prog="greenws run").run()


@main.command()
@click.argument("url")
@click.option(
    "-m", "--mode", type=click.Choice(MODES), default="echo", show_default=True, help="What to do; see below."
)
@click.option("-c", "--connections", type=click.IntRange(1), default=100, show_default=True)
@click.option(
    "-d", "--duration", type=click.FloatRange(0, min_open=True), default=10.0, show_default="10", help="Seconds."
)
@click.option("--size", type=click.IntRange(0), default=64, show_default=True, help="Bytes of a message.")
@click.option("--binary", is_flag=True, help="Binary messages instead of text.")
@click.option(
    "--depth", type=click.IntRange(1), default=16, show_default=True, help="Messages in one write (pipelined)."
)
@click.option(
    "--interval",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default="10",
    help="Seconds between the messages of a connection (rate, ping).",
)
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True, help="Messages to everybody (fanout).")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="Of the handshake; may repeat.")
@click.option(
    "--concurrency", type=click.IntRange(1), default=128, show_default=True, help="Connects under way at a time."
)
@click.option(
    "--sources",
    type=click.IntRange(1, 254),
    default=1,
    show_default=True,
    help="Addresses from 127.0.0.1 on to connect from: one has 28,000 ports.",
)
@click.option("--source", multiple=True, metavar="ADDRESS", help="Connect from this address of ours; may repeat.")
@click.option(
    "--processes", type=click.IntRange(1), default=1, show_default=True, help="Processes to divide the load among."
)
@click.option("--rest", type=click.FloatRange(0), default=0.5, show_default=True, help="Seconds before it is measured.")
@click.option("--warm-up", type=click.FloatRange(0), default=0.5, show_default=True, help="Seconds of the same before.")
@click.option("--deflate", "offers_deflate", is_flag=True, help="Offer compression (idle and handshake).")
@click.option("--pid", "pids", type=int, multiple=True, help="The server's process: shows what it uses. May repeat.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--remote", "is_remote", is_flag=True, help="The server may be another machine, which you may load.")
def bench(url: str, headers: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Load a WebSocket server and measure it.

    \b
    greenws bench ws://127.0.0.1:8000/echo -c 1000 -d 10

    \b
    echo       each connection has one message under way, all the time
    pipelined  each sends --depth messages in one write, and again when all are back
    rate       each sends a message every --interval seconds, whatever comes back
    ping       the same with pings, which any server answers
    idle       all stay open and answer pings
    handshake  opens and closes, --connections at a time
    fanout     one sends, and all must get it, --rounds times

    The status is 1 when a connection failed or a message came back wrong.
    """  # noqa: D301
    from greenws.bench.report import report
    from greenws.bench.run import run

    pairs = [header.partition(":") for header in headers]
    try:
        result = run(Plan(url=url, headers=tuple((name, value.strip()) for name, _, value in pairs), **options))
    except (ConfigError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    except (LoadFailed, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(result.as_dict()) if as_json else report(result))
    sys.exit(not result.is_good)


@main.command()
@click.option(
    "-c", "--connections", type=click.IntRange(1), default=10_000, show_default=True, help="How many to have."
)
@click.option(
    "-w", "--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that share them."
)
@click.option("--proxy", "is_proxied", is_flag=True, help="A proxy, or a load, on this machine connects to the server.")
@click.option("--pid", type=int, metavar="PID", help="Look at the limits of this process. [of this shell]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(pid: int | None, as_json: bool, **wanted: Any) -> None:
    """Say which limits of this machine are too low. Changes nothing.

    \b
    greenws doctor --connections 50000 --workers 4

    The status is 0 when all is well, and 1 when something is too low.
    """  # noqa: D301
    from greenws.sizing.demand import Demand
    from greenws.sizing.findings import examine, is_enough
    from greenws.sizing.readings import read
    from greenws.sizing.report import report

    demand = Demand(**wanted)
    try:
        readings = read(pid)
    except ProcessLookupError as error:
        raise click.BadParameter(str(error), param_hint="--pid") from error
    except OSError as error:
        raise click.UsageError(str(error)) from error
    findings = examine(readings, demand)
    if as_json:
        found = [finding.as_dict() for finding in findings]
        values = {"connections": demand.connections, "workers": demand.workers, "is_enough": is_enough(findings)}
        click.echo(json.dumps({**values, "findings": found, "readings": readings.as_dict()}))
    else:
        click.echo(report(findings, demand))
    sys.exit(not is_enough(findings))


@main.command()
@click.argument("application", metavar="[MODULE:APP]", default="greenws.demo.app:create_app()")
@click.option(
    "-c", "--connections", type=click.IntRange(1), default=10_000, show_default=True, help="How many to have."
)
@click.option("--path", default="/echo", show_default=True, help="The WebSocket route to connect to.")
@click.option("--trial", type=click.IntRange(100), default=1000, show_default=True, help="Connections to measure with.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="Of the handshake; may repeat.")
@click.option("--chdir", metavar="DIR", help="Change to this folder before the application is loaded.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(application: str, connections: int, headers: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Measure what a connection of an application costs here, and say what so many take.

    \b
    greenws plan --connections 50000 app:app --path /chat/tea

    The application is started in a process of its own, on a free port of 127.0.0.1, and ended after a few seconds.
    """  # noqa: D301
    from greenws.sizing.estimate import estimate
    from greenws.sizing.readings import read
    from greenws.sizing.report import report_estimate
    from greenws.sizing.trial import measure

    pairs = [header.partition(":") for header in headers]
    try:
        costs = measure(application, headers=tuple((name, value.strip()) for name, _, value in pairs), **options)
        result = estimate(connections, costs, read())
    except (ConfigError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    except (LoadFailed, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(result.as_dict()) if as_json else report_estimate(result))


@main.command()
@click.argument("url")
@click.option("-n", "--connections", type=click.IntRange(1), default=100, show_default=True, help="How many.")
@click.option("-c", "--concurrency", type=click.IntRange(1), default=50, show_default=True, help="How many at once.")
@click.option("-t", "--timeout", type=float, default=30.0, show_default=True, help="Seconds for all of them.")
def warm(url: str, connections: int, concurrency: int, timeout: float) -> None:
    """Open connections to an upstream, as a pool that warms up does, and say how long they took."""
    from greenws.client.pool import ConnectionPool
    from greenws.errors import ConfigError

    try:
        pool = ConnectionPool(url, max_size=connections)
    except ConfigError as error:
        raise click.BadParameter(str(error), param_hint="URL") from error
    with pool:
        with click.progressbar(length=connections, label=url) as bar:
            report = pool.warm_up(
                connections,
                concurrency=concurrency,
                timeout=timeout,
                progress=lambda ready, _: bar.update(ready - bar.pos),
            )
        click.echo(report)
    sys.exit(not report.is_complete)


@main.command()
@click.option("-b", "--bind", default="127.0.0.1:8000", metavar="HOST:PORT", show_default=True, help="Where to listen.")
def demo(bind: str) -> None:
    """Serve a chat: pages by Flask, its WebSockets parked."""
    import gevent.monkey

    gevent.monkey.patch_all()

    from greenws.demo.app import create_app
    from greenws.server import WSGIServer

    host, _, port = bind.rpartition(":")
    if not port.isdigit():
        raise click.BadParameter(f"{bind!r} is not HOST:PORT", param_hint="--bind")
    server = WSGIServer((host.strip("[]") or "127.0.0.1", int(port)), create_app(), log=None)
    try:
        server.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise click.ClickException(f"{bind} is in use; try --bind {host}:0, which takes a free port") from error
        raise click.ClickException(f"cannot listen on {bind}: {error.strerror}") from error
    click.echo(f"The GreenWS demo, a chat, is at  http://{_shown(server.address)}/")
    click.echo("Open it in two tabs. Press Ctrl+C here to stop.")
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, server.stop)
    server.serve_forever()
    click.echo("\nStopped.")


def _shown(address: tuple[Any, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
