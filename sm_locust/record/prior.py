"""How scaling was before it was changed: the record that it is put back from, whatever becomes of who changed it.

It is on disk, file and folder, before the first change is asked for, and grows as the work goes on; an experiment keeps
its stages in it too. Finding out what was there and putting it back is aws/scaling's; here nothing is known of AWS.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sm_locust.loopback import stand_in
from sm_locust.record.disk import sync, write_whole
from sm_locust.schedule import SPEEDS

SCHEMA_VERSION = 1

EXPERIMENT = "experiment.json"  # in the folder of an experiment
APPLIED = "scaling.json"  # in the folder that `sm-locust scaling apply` makes
NAMES = (EXPERIMENT, APPLIED)

_REQUIRED = {
    "at": str,
    "resource_id": str,
    "arn": str,
    "config": dict,
    "speed": int,
    "scaling_before": dict,
    "registered_by_us": bool,
}


class PriorError(Exception):
    """A record that cannot be written, read or used now; its text is one sentence for the user."""


class Prior:
    """One record. `Prior.create` for who is about to change scaling, `Prior.open` for who puts it back.

    Its file holds one JSON object:

    schema_version   1
    at               when it was made, UTC
    resource_id      of Application Auto Scaling, such as endpoint/E/variant/V
    arn              of the endpoint or inference component, in which account and region are
    config           the resolved configuration; it can hold no secret
    speed            schedule seconds for one real second
    scaling_before   what was there, as aws.scaling.ScalingState.as_dict has it
    registered_by_us whether it was we who registered the scalable target: written before that is asked for
    kept             whether what was set up is to stay: `scaling apply` that came to its end
    restored, not_restored, restored_at   what was done to put it back, why not all of it, and when all of it was
    """

    def __init__(self, path: Path, found: dict[str, Any]) -> None:
        self.path = path
        self.found = found
        self._claim: int | None = None

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        resource_id: str,
        arn: str,
        config: Mapping[str, Any],
        speed: int,
        scaling_before: Mapping[str, Any],
        **more: Any,
    ) -> Prior:
        """Makes the folder if it is not there, and the record, claimed. Raises PriorError."""
        found = {
            "schema_version": SCHEMA_VERSION,
            "at": _now(),
            "resource_id": resource_id,
            "arn": arn,
            "config": dict(config),
            "speed": speed,
            "scaling_before": dict(scaling_before),
            "registered_by_us": False,
            **more,
        }
        prior = cls(path, found)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            prior.claim()
            if path.exists():
                raise PriorError(f"{path}: there is a record already, and it is not written over")
            prior.write()
            sync(path.parent.parent)  # or a power cut could take the folder, with what is in it
        except OSError as e:
            raise PriorError(f"{path.parent}: not a folder that can be written: {e.strerror}") from None
        return prior

    @classmethod
    def open(cls, folder: str | Path) -> Prior:
        """The record in a folder. Raises PriorError when there is none of a version that we know."""
        folder = Path(folder)
        path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
        if path is None:
            raise PriorError(
                f"{folder}: not a folder of an experiment or of scaling apply: no {' and no '.join(NAMES)}"
            )
        try:
            return cls(path, read(path))
        except ValueError as e:
            raise PriorError(f"{path}: {e}") from None

    def __repr__(self) -> str:
        return f"Prior({str(self.path)!r})"

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def resource_id(self) -> str:
        return str(self.found["resource_id"])

    @property
    def at(self) -> str:
        """When it was made: UTC, ISO 8601."""
        return str(self.found["at"])

    @property
    def arn(self) -> str:
        return str(self.found["arn"])

    @property
    def address(self) -> str | None:
        """The local endpoint's, where one stands in for AWS: its ARNs are those of every other one. None for AWS."""
        target = self.found["config"].get("target")
        if not isinstance(target, dict):
            return None
        return stand_in(target.get("url"), target.get("api_gateway"))

    def is_of(self, arn: str, resource_id: str, address: str | None) -> bool:
        """Whether it is of that resource, and of no other of the same name."""
        return (self.arn, self.resource_id, self.address) == (arn, resource_id, address)

    @property
    def speed(self) -> int:
        return int(self.found["speed"])

    @property
    def registered_by_us(self) -> bool:
        return bool(self.found["registered_by_us"])

    @property
    def restored_at(self) -> str | None:
        """When all of it was put back; None before that."""
        return self.found.get("restored_at")

    @property
    def owed(self) -> bool:
        """Whether something may have been changed that was neither put back nor meant to stay."""
        return self.restored_at is None and not self.found.get("kept")

    @property
    def stages(self) -> list[str]:
        """The stages of an experiment that were begun, in that order."""
        return [str(stage["stage"]) for stage in self.found.get("stages") or ()]

    def claim(self) -> None:
        """Keeps others from working on it for as long as this process lives. Raises PriorError when another does."""
        if self._claim is not None:
            return
        try:
            held = os.open(self.folder, os.O_RDONLY)
        except OSError as e:
            raise PriorError(f"{self.folder}: cannot be opened: {e.strerror}") from None
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            raise PriorError(f"{self.folder}: another sm-locust is still at work on it") from None
        self._claim = held

    def release(self) -> None:
        if self._claim is not None:
            fcntl.flock(self._claim, fcntl.LOCK_UN)
            os.close(self._claim)
            self._claim = None

    def stage(self, name: str) -> None:
        """An experiment begins a stage."""
        self.write(stages=[*self.found.get("stages", []), {"stage": name, "at": _now()}])

    def write(self, **more: Any) -> None:
        """Adds to it; on disk when it returns, whole or not at all. Raises OSError."""
        self.found.update(more)
        write_whole(self.path, json.dumps(self.found, indent=2) + "\n")

    def write_restored(self, done: list[str], not_restored: str = "") -> None:
        """What was done to put it back; without `not_restored` it is then as it was. Raises OSError."""
        at = {} if not_restored else {"restored_at": _now()}
        self.write(restored=done, not_restored=not_restored, **at)


def read(path: Path) -> dict[str, Any]:
    """What a record's file holds. Raises ValueError, a sentence without the path, for what is none that we know."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise ValueError(f"cannot be read: {e}") from None
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version != SCHEMA_VERSION:
        raise ValueError(f"schema_version {version!r}; this sm-locust reads {SCHEMA_VERSION}")
    wrong = next(
        (
            f"{key}: missing, or no {kind.__name__}"
            for key, kind in _REQUIRED.items()
            if not isinstance(found.get(key), kind)
        ),
        "",
    ) or _wrong(found)
    if wrong:
        raise ValueError(f"{wrong}: it was not written by this sm-locust")
    return dict(found)


def unrestored(run_dir: str | Path) -> list[Prior]:
    """The records in a folder of runs whose scaling was not put back, oldest first; what is no record is passed over.

    One that another process is still at work on is among them.
    """
    return [record for record in records(run_dir) if record.owed]


def not_put_back(run_dir: str | Path, arn: str, resource_id: str, address: str | None) -> list[Prior]:
    """The records of one resource whose scaling is not as it was, meant to stay so or not; see `Prior.is_of`."""
    found = [record for record in records(run_dir) if record.is_of(arn, resource_id, address)]
    return [record for record in found if record.restored_at is None]


def records(run_dir: str | Path) -> list[Prior]:
    """All that can be read, oldest first."""
    found = []
    with suppress(OSError):
        for folder in Path(run_dir).iterdir():
            with suppress(PriorError, OSError):
                found.append(Prior.open(folder))
    return sorted(found, key=lambda record: (record.at, record.folder.name))


def unreadable(run_dir: str | Path) -> list[Path]:
    """The files in a folder of runs that bear a record's name and hold none that can be read."""
    found = []
    with suppress(OSError):
        for folder in sorted(Path(run_dir).iterdir()):
            try:
                Prior.open(folder)
            except (PriorError, OSError):
                found += [folder / name for name in NAMES if (folder / name).is_file()]
    return found


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _wrong(found: dict[str, Any]) -> str:
    """What of a record cannot be acted upon, in words; empty when all of it can. Half of it must never be."""
    before = found["scaling_before"]
    target, tags, instances = before.get("target"), before.get("tags"), before.get("instances")
    if found["speed"] not in SPEEDS or isinstance(found["speed"], bool):
        return f"speed: {found['speed']!r} is not accepted"
    if before.get("resource_id", found["resource_id"]) != found["resource_id"]:
        return "scaling_before.resource_id: another than resource_id"
    if target is not None and not (
        isinstance(target, dict) and all(_whole(target.get(key)) for key in ("MinCapacity", "MaxCapacity"))
    ):
        return "scaling_before.target: not with MinCapacity and MaxCapacity"
    there = found["config"].get("target")
    if isinstance(there, dict) and not all(isinstance(there.get(key), str | None) for key in ("url", "api_gateway")):
        return "config.target: url or api_gateway is no text"
    if instances is not None and not _whole(instances):
        return "scaling_before.instances: no whole number"
    if tags is not None and not isinstance(tags, dict):
        return "scaling_before.tags: no mapping"
    for key, name in (("policies", "PolicyName"), ("scheduled_actions", "ScheduledActionName")):
        items = before.get(key, [])
        if not isinstance(items, list) or not all(isinstance(i, dict) and isinstance(i.get(name), str) for i in items):
            return f"scaling_before.{key}: no list of mappings with {name}"
    stages = found.get("stages") or []
    if not isinstance(stages, list) or not all(isinstance(s, dict) and isinstance(s.get("stage"), str) for s in stages):
        return "stages: no list of mappings with stage"
    if not isinstance(found.get("locust", []), list) or not isinstance(found.get("replace", False), bool):
        return "locust or replace: no list, or neither true nor false"
    restored, not_restored = found.get("restored", []), found.get("not_restored", "")
    if not isinstance(restored, list) or not all(isinstance(said, str) for said in [*restored, not_restored]):
        return "restored or not_restored: no list of texts, or no text"
    for key in ("restored_at", "config_file"):
        if found.get(key) is not None and not (isinstance(found[key], str) and found[key]):
            return f"{key}: no text"
    return ""


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1_000_000
