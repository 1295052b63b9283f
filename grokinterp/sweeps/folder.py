"""A store's folder as zarr sees it."""

from collections.abc import AsyncIterator

from zarr.storage import LocalStore

_METADATA = (".zgroup", ".zattrs", ".zmetadata")


class Folder(LocalStore):
    """Lists only what is the store's: of a lock, or a file of somebody else, zarr would warn."""

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names below ``prefix``."""
        async for name in super().list_dir(prefix):
            if prefix or name in _METADATA or (self.root / name / ".zarray").exists():
                yield name
