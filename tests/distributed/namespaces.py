"""Machines of a network of their own, on this one: a network namespace each, and a bridge in one more.

Everything lives in namespaces with names of this process, so nothing of this machine's own network is touched, and
deleting them leaves nothing behind: pairs of devices and the bridge go with the namespace they are in.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def missing() -> str:
    """What this machine lacks for it, in one sentence; empty where there is all."""
    if shutil.which("ip") is None:
        return "iproute2 is missing (Debian: apt-get install iproute2)"
    if os.geteuid() != 0:
        return "network namespaces want root (try it in a container: docker run --privileged)"
    try:
        with network("probe"):
            return ""
    except subprocess.CalledProcessError as e:
        return f"network namespaces cannot be made here: {e.stderr.strip()}"


class Network:
    """Machines by name, each with one address on one bridge."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._machines: list[str] = []
        self._lan = f"{prefix}-lan"

    def namespace(self, machine: str) -> str:
        return f"{self._prefix}-{machine}"

    def address(self, machine: str) -> str:
        return f"10.99.0.{self._machines.index(machine) + 1}"

    def on(self, machine: str) -> list[str]:
        """What a command is to begin with, to run on that machine. It is then the process itself, not a child of it."""
        return ["ip", "netns", "exec", self.namespace(machine)]

    def make(self, machines: tuple[str, ...]) -> None:
        self._machines = list(machines)
        ip("netns", "add", self._lan)
        ip("-n", self._lan, "link", "add", "name", "lan", "type", "bridge")
        ip("-n", self._lan, "link", "set", "dev", "lan", "up")
        for machine in machines:
            there = self.namespace(machine)
            ip("netns", "add", there)
            ip("-n", self._lan, "link", "add", "name", machine, "type", "veth", "peer", "name", "lan", "netns", there)
            ip("-n", self._lan, "link", "set", "dev", machine, "master", "lan", "up")
            ip("-n", there, "address", "add", f"{self.address(machine)}/24", "dev", "lan")
            ip("-n", there, "link", "set", "dev", "lan", "up")
            ip("-n", there, "link", "set", "dev", "lo", "up")

    def remove(self) -> None:
        for name in (*map(self.namespace, self._machines), self._lan):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "delete", name)

    def part(self, one: str, other: str) -> None:
        """Nothing passes between the two any more, in either direction, and neither is told; the others are reached."""
        for here, there in ((one, other), (other, one)):
            ip("-n", self.namespace(here), "route", "add", "blackhole", f"{self.address(there)}/32")

    def join(self, one: str, other: str) -> None:
        for here, there in ((one, other), (other, one)):
            ip("-n", self.namespace(here), "route", "delete", "blackhole", f"{self.address(there)}/32")

    def unplug(self, machine: str) -> None:
        """As if a switch had lost its port: the link stays up, and all that is sent is lost."""
        ip("-n", self._lan, "link", "set", "dev", machine, "nomaster")

    def plug(self, machine: str) -> None:
        ip("-n", self._lan, "link", "set", "dev", machine, "master", "lan")


@contextlib.contextmanager
def network(*machines: str) -> Iterator[Network]:
    made = Network(f"sm{os.getpid()}")
    try:
        made.make(machines)
        yield made
    finally:
        made.remove()
