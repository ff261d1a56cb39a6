"""The registry of hypotheses: an append-only file that says what was asked before what was seen.

Each line is one JSON object. ``asked`` is written before a hypothesis runs, with the digest of all that bears on its
figures and the hash of the data; ``seen`` after its result is known. A hypothesis whose digest differs from one that
was seen on the same data before was changed after a look, and the report says so.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from forcedflow.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILE", "Registration", "Registry"]

FILE: Final = Path("results") / "hypotheses.jsonl"


@dataclass(frozen=True, slots=True)
class Registration:
    """What was known of the data when a hypothesis was asked."""

    digest: str
    at: str
    """UTC, ISO."""
    changed: bool
    """A hypothesis of this name, with another digest, was seen on this data before."""
    looks: int
    """Results seen on this data before, of any hypothesis, repetitions of this very one left out."""

    @property
    def sentence(self) -> str:
        """What a reader must know."""
        if self.changed:
            return (
                "changed after a look: a result of an earlier version was seen on this data before this one was asked, "
                "so its p-values are no longer what they say"
            )
        others = f"{self.looks} other result{'s were' if self.looks != 1 else ' was'} seen on this data before"
        return f"registered {self.at} as {self.digest[:12]}, before its result was known; {others}"


class Registry:
    """Reads and appends; never rewrites.

    Parameters
    ----------
    path
        The file; made where it is missing.
    """

    def __init__(self, path: Path = FILE) -> None:
        self.path = path

    def ask(self, name: str, digest: str, data_hash: str, **more: Any) -> Registration:
        """Note that a hypothesis is about to run on data, and tell what was seen there before.

        Raises
        ------
        RecordError
            Where the file cannot be read or written, or holds a line that is not its own.
        """
        seen = [line for line in self._lines() if line["what"] == "seen" and line["data"] == data_hash]
        at = datetime.now(UTC).isoformat(timespec="seconds")
        changed = any(line["name"] == name and line["digest"] != digest for line in seen)
        looks = len({(line["name"], line["digest"]) for line in seen} - {(name, digest)})
        self._append({"what": "asked", "at": at, "name": name, "digest": digest, "data": data_hash, **more})
        return Registration(digest, at, changed, looks)

    def see(self, name: str, digest: str, data_hash: str, **result: Any) -> None:
        """Note that a result is known now.

        Raises
        ------
        RecordError
            As :meth:`ask`.
        """
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._append({"what": "seen", "at": at, "name": name, "digest": digest, "data": data_hash, **result})

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        lines = []
        for number, text in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                line = json.loads(text)
                _ = line["what"], line["name"], line["digest"], line["data"]
            except (ValueError, KeyError, TypeError):
                raise RecordError(
                    f"{self.path}, line {number}: not a line of the registry; move the file away"
                ) from None
            lines.append(line)
        return lines

    def _append(self, line: Mapping[str, Any]) -> None:
        """Add one line in one write, so that lines of processes that run at once do not mix."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, (json.dumps(line) + "\n").encode())
            finally:
                os.close(handle)
        except OSError as error:
            raise RecordError(f"cannot write the registry of hypotheses {self.path}: {error}") from None
