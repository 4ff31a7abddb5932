"""A book: some tables of the state file that have their own version."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from scalelib.sqlitefile import SharedFile, Tables


class Book:
    """Safe to use from several threads and processes. Raises InvalidConfig where the file cannot be used."""

    tables: ClassVar[Tables]

    def __init__(self, path: Path) -> None:
        self._file = SharedFile(path, self.tables)

    @classmethod
    def look(cls, path: Path) -> Self:
        """Only look: no file is made, and none is written to."""
        looking = cls.__new__(cls)
        looking._file = SharedFile.look(path, cls.tables)
        return looking

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
