"""The folder of a sweep's store, as shown to zarr."""

from collections.abc import AsyncIterator

from zarr.storage import LocalStore

_METADATA = (".zgroup", ".zattrs", ".zmetadata")


class Folder(LocalStore):
    """A LocalStore that lists only the sweep's files; zarr would warn of a lock or other files."""

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names below ``prefix``."""
        async for name in super().list_dir(prefix):
            if prefix or name in _METADATA or (self.root / name / ".zarray").exists():
                yield name
