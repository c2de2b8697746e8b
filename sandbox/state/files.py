"""Files that bots uploaded, by file id."""

from dataclasses import dataclass, field
from hashlib import blake2b

#: Bytes kept over all files; the oldest are forgotten first.
CAPACITY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file; ``path`` is what getFile answers and /file/ serves."""

    file_id: str
    unique_id: str
    path: str
    name: str
    content: bytes


@dataclass(slots=True)
class FileStore:
    """Files by id, oldest first."""

    by_id: dict[str, StoredFile] = field(default_factory=dict)
    size_bytes: int = 0

    def add(self, name: str, content: bytes) -> StoredFile:
        """Keep a file; the same content under the same name has the same id."""
        digest = blake2b(name.encode("utf-8", "surrogatepass") + b"\0" + content, digest_size=15).hexdigest()
        suffix = name.rpartition(".")[2]
        known_suffix = f".{suffix}" if suffix != name and suffix.isascii() and suffix.isalnum() else ""
        stored = StoredFile(f"sandbox-{digest}", digest[:16], f"files/{digest}{known_suffix}", name, content)
        if stored.file_id not in self.by_id:
            self.by_id[stored.file_id] = stored
            self.size_bytes += len(content)
            while self.size_bytes > CAPACITY_BYTES and len(self.by_id) > 1:
                oldest = self.by_id.pop(next(iter(self.by_id)))
                self.size_bytes -= len(oldest.content)
        return stored

    def at_path(self, path: str) -> StoredFile | None:
        """Return the file that /file/ serves under ``path``."""
        return next((stored for stored in self.by_id.values() if stored.path == path), None)

    def clear(self) -> None:
        """Forget all files."""
        self.by_id.clear()
        self.size_bytes = 0
