"""``greenws warm``: what a warm-up of an upstream takes, from the command line."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from greenws.cli import main
from tests.client.upstreams import Upstream


def test_it_opens_connections_and_says_how_long_they_took() -> None:
    upstream = Upstream()
    try:
        done = CliRunner().invoke(main, ["warm", upstream.url, "-n", "7", "-c", "3"])
        assert done.exit_code == 0, done.output
        assert "7 of 7 connections ready" in done.output
        assert upstream.handshakes == 7
        assert upstream.most_at_once <= 3
    finally:
        upstream.stop()


@pytest.mark.slow
def test_it_fails_with_the_reason_when_nobody_answers() -> None:
    done = CliRunner().invoke(main, ["warm", "ws://127.0.0.1:1/", "-n", "2", "-t", "1"])
    assert done.exit_code == 1
    assert "refused" in done.output


def test_it_says_what_is_wrong_with_a_url() -> None:
    done = CliRunner().invoke(main, ["warm", "http://127.0.0.1/"])
    assert done.exit_code == 2
    assert "ws://" in done.output
