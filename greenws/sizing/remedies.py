"""What a person types to raise a limit. Nothing here is ever run."""

from __future__ import annotations

from dataclasses import dataclass

SYSCTL_FILE = "/etc/sysctl.d/60-greenws.conf"
MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Remedy:
    """One way to put something right.

    Attributes:
        place: where: ``shell``, ``sysctl`` (a file), ``systemd`` (the service), ``docker`` (an option of run),
            ``limits.conf`` or ``server``.
        line: the command, the line of the file, or the option, as it is typed.
        note: what else must be known.
    """

    place: str
    line: str
    note: str = ""


def sysctl(name: str, value: int | str, *, in_container: bool) -> tuple[Remedy, ...]:
    """Sets a kernel setting at once, and at each start of the machine.

    Args:
        name: of the setting.
        value: that it needs.
        in_container: whether a container has its own (it belongs to a network namespace). The others are the host's.
    """
    setting = f'"{name}={value}"' if " " in str(value) else f"{name}={value}"
    lines = (
        Remedy("shell", f"sysctl -w {setting}"),
        Remedy("sysctl", f"{name} = {value}", f"in {SYSCTL_FILE}; then: sysctl --system"),
    )
    return (*lines, Remedy("docker", f"--sysctl {setting}")) if in_container else lines


def nofile(needed: int, *, is_hard: bool) -> tuple[Remedy, ...]:
    """Raises the limit of descriptors: of this shell, of a service, of a container, of who logs in."""
    return (
        Remedy("shell", f"ulimit -n {needed}", "as root") if is_hard else Remedy("shell", f"ulimit -Sn {needed}"),
        Remedy("systemd", f"LimitNOFILE={needed}"),
        Remedy("docker", f"--ulimit nofile={needed}:{needed}"),
        Remedy("limits.conf", f"* - nofile {needed}", "in /etc/security; for who logs in after that"),
    )


def group_memory(needed: int) -> tuple[Remedy, ...]:
    """Raises the memory of a control group."""
    megabytes = -(-needed // MEGABYTE)
    return (Remedy("systemd", f"MemoryMax={megabytes}M"), Remedy("docker", f"--memory={megabytes}m"))


def no_swap() -> tuple[Remedy, ...]:
    """Keeps a service in memory."""
    return (
        *sysctl("vm.swappiness", 1, in_container=False),
        Remedy("systemd", "MemorySwapMax=0"),
        Remedy("docker", "--memory=SIZE --memory-swap=SIZE", "the same SIZE twice: no swap"),
    )
