"""What is sent: the bodies that `request.body` and `request.payloads` name, read once before the run.

A line of a CSV file is a body, a line of a JSONL file is a body, a file of a directory is a body. Which body a request
takes is the feeders', sending it the invoker's, carrying bodies to the workers the plugin's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sm_locust.config_error import ConfigError

if TYPE_CHECKING:
    from sm_locust.config import Request

# By suffix, as SageMaker's containers and algorithms name them. `request.content_type` wins over all of these.
CONTENT_TYPES = {
    ".bin": "application/octet-stream",
    ".csv": "text/csv",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".libsvm": "text/libsvm",
    ".npy": "application/x-npy",
    ".parquet": "application/x-parquet",
    ".png": "image/png",
    ".recordio": "application/x-recordio-protobuf",
    ".txt": "text/plain",
    ".wav": "audio/wav",
}
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Payload:
    """One body and its media type.

    content_type  empty for that of the feeder, or `request.content_type` of the configuration
    """

    body: bytes
    content_type: str = ""


def load(request: Request, base_dir: str | Path) -> tuple[Payload, ...]:
    """All payloads of a configuration; none when it names none. A relative path is relative to `base_dir`.

    Raises ConfigError, one line that names the file, when one cannot be read or holds nothing to send.
    """
    if request.body is not None:
        return (Payload(request.body.encode(), str(request.content_type)),)  # config requires it beside a body
    if request.payloads is None:
        return ()
    path = Path(base_dir, request.payloads)
    if request.header and path.suffix.lower() != ".csv":
        raise ConfigError("request.header: true is not accepted: only with payloads in a .csv file")
    try:
        return read(path, request.content_type, request.header)
    except ConfigError as error:
        raise ConfigError(f"request.payloads: {error}") from None


def read(path: Path, content_type: str | None = None, header: bool = False) -> tuple[Payload, ...]:
    """The payloads of a file or a directory.

    content_type  of all of them; None takes what the suffix says
    header        whether the first line of a CSV file is left out

    Raises ConfigError, one line that begins with the path, when it cannot be read or holds nothing to send.
    """
    try:
        kind = "directory" if path.is_dir() else path.suffix.lower()
        if kind == "directory":
            return _from_directory(path, content_type)
        if kind == ".csv":
            return _from_csv(path, content_type or "text/csv", header)
        if kind == ".jsonl":
            return _from_jsonl(path, content_type or "application/json")
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise _refused(path, getattr(error, "strerror", None) or str(error)) from None
    raise _refused(path, f"{path.suffix or 'no suffix'} is not accepted")


def total_bytes(payloads: Iterable[Payload]) -> int:
    """Bytes of all bodies."""
    return sum(len(payload.body) for payload in payloads)


def sha256(payloads: Iterable[Payload]) -> str:
    """A digest of all bodies, their types and their order: the same on two machines only when these are."""
    digest = hashlib.sha256()
    for payload in payloads:
        for part in (payload.content_type.encode(), payload.body):
            digest.update(len(part).to_bytes(8, "big") + part)  # with its length: where a part ends matters too
    return digest.hexdigest()


def encode(payloads: Iterable[Payload]) -> list[list[bytes | str]]:
    """Primitives, for a message to the workers."""
    return [[payload.body, payload.content_type] for payload in payloads]


def decode(message: Iterable[Sequence[Any]]) -> tuple[Payload, ...]:
    """What `encode` gave, again."""
    return tuple(Payload(body, content_type) for body, content_type in message)


def _from_csv(path: Path, content_type: str, header: bool) -> tuple[Payload, ...]:
    lines = _lines(path)[1 if header else 0 :]
    if not lines:
        raise _refused(path, "no line to send" + (" after the header" if header else ""))
    return tuple(Payload(line, content_type) for _, line in lines)


def _from_jsonl(path: Path, content_type: str) -> tuple[Payload, ...]:
    lines = _lines(path)
    if not lines:
        raise _refused(path, "no line to send")
    for number, line in lines:
        try:
            json.loads(line)  # only looked at: what is sent is what the file has, byte for byte
        except (ValueError, RecursionError):
            raise _refused(path, f"line {number} is not JSON") from None
    return tuple(Payload(line, content_type) for _, line in lines)


def _from_directory(path: Path, content_type: str | None) -> tuple[Payload, ...]:
    # Hidden files are an editor's or a file browser's, never a body.
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise _refused(path, "no file in it")
    return tuple(_from_file(file, content_type) for file in files)


def _from_file(path: Path, content_type: str | None) -> Payload:
    media_type = content_type or CONTENT_TYPES.get(path.suffix.lower())
    if media_type is None:
        known = ", ".join(CONTENT_TYPES)
        raise ConfigError(
            f"{path}: {path.suffix or 'no suffix'} does not tell its media type; "
            f"accepted: {known}, or any file with a content_type"
        )
    body = path.read_bytes()
    if not body:
        raise _refused(path, "empty")
    return Payload(body, media_type)


def _lines(path: Path) -> list[tuple[int, bytes]]:
    """Lines that are not blank, each with its number from 1, without what ends them."""
    numbered = enumerate(path.read_bytes().removeprefix(_BOM).split(b"\n"), start=1)
    return [(number, line.removesuffix(b"\r")) for number, line in numbered if line.strip()]


def _refused(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"{path}: {reason}; accepted: a .csv file, a .jsonl file or a directory of files, not empty")
