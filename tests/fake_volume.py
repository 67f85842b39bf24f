"""A Volume of Modal over a folder: the calls that we make, each checked against the signature of
the real ones."""

import inspect
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import modal
from modal.exception import NotFoundError
from modal.types import FileEntry, FileEntryType
from modal.volume import AbstractVolumeUploadContextManager


def checked(owner: Any, name: str, *given: Any, **named: Any) -> None:
    """TypeError when the real method does not take these arguments."""
    inspect.signature(getattr(owner, name)).bind(None, *given, **named)


class FakeVolume:
    def __init__(self, root: Path):
        self.root = root
        self.before_read = lambda path: None

    def entry(self, path: Path) -> FileEntry:
        kind = FileEntryType.DIRECTORY if path.is_dir() else FileEntryType.FILE
        size = 0 if path.is_dir() else path.stat().st_size
        return FileEntry(path=str(path.relative_to(self.root)), type=kind, mtime=0, size=size)

    def iterdir(self, path, *, recursive=True):
        checked(modal.Volume, "iterdir", path, recursive=recursive)
        folder = self.root / path
        if not folder.exists():
            raise NotFoundError(f"{path} does not exist")
        for one in sorted(folder.rglob("*") if recursive else folder.iterdir()):
            yield self.entry(one)

    def listdir(self, path, *, recursive=False):
        checked(modal.Volume, "listdir", path, recursive=recursive)
        return list(self.iterdir(path, recursive=recursive))

    def read_file(self, path):
        checked(modal.Volume, "read_file", path)
        self.before_read(path)
        if not (self.root / path).is_file():
            raise FileNotFoundError(path)
        data = (self.root / path).read_bytes()
        yield from (data[: len(data) // 2], data[len(data) // 2 :])

    @contextmanager
    def batch_upload(self, force=False):
        checked(modal.Volume, "batch_upload", force=force)
        batch = FakeBatch()
        yield batch
        for source, remote in batch.files:  # the real one reads the files when the batch ends, too
            target = self.root / remote.lstrip("/")
            assert force or not target.exists(), f"{remote} exists"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(
                source.read() if hasattr(source, "read") else Path(source).read_bytes()
            )


class FakeBatch:
    def __init__(self):
        self.files = []

    def put_file(self, local_file, remote_path):
        checked(AbstractVolumeUploadContextManager, "put_file", local_file, remote_path)
        self.files.append((local_file, str(remote_path)))
