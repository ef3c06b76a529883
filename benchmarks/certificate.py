"""A certificate as public authorities issue them today: P-256, by an intermediate with P-256, by a root with RSA."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

EC = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1"


class Certificate(NamedTuple):
    """Files: the root that clients trust, and what a server shows, with its key."""

    root: str
    chain: str
    key: str


def make_certificate(folder: str) -> Certificate:
    """Makes one for localhost and 127.0.0.1, valid for two days."""
    place = Path(folder)
    (place / "middle.ext").write_text("basicConstraints=critical,CA:TRUE\n")
    (place / "leaf.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    _openssl(place, "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=root -keyout root.key -out root.pem")
    for name, issuer in (("middle", "root"), ("leaf", "middle")):
        _openssl(place, f"req {EC} -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr")
        signed = f"x509 -req -in {name}.csr -days 2 -extfile {name}.ext -out {name}.pem"
        _openssl(place, f"{signed} -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial")
    (place / "chain.pem").write_text((place / "leaf.pem").read_text() + (place / "middle.pem").read_text())
    return Certificate(*(str(place / name) for name in ("root.pem", "chain.pem", "leaf.key")))


def _openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], check=True, capture_output=True, cwd=folder)
