"""A stage: its device, its size, where its results go, and the time that it has."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

Task = Callable[[], Any]  # returns what is stored as JSON


class OutOfTime(Exception):
    """There is no time for a task, or none of it was done in its time."""


@dataclass(frozen=True)
class Stage:
    """A stage of the work."""

    name: str
    device: str
    size: str
    out: Path
    end: float  # as ``time.time()``
    found: dict[str, Any]  # what its tasks gave so far

    @property
    def left(self) -> float:
        """Seconds."""
        return self.end - time.time()

    def save(self, data: xr.Dataset, name: str) -> None:
        """Write numbers small enough to be committed."""
        numbers = {key: data[key].astype("float32") for key in data if data[key].dtype == "float64"}
        packed = {key: {"zlib": True} for key in data if data[key].dtype.kind in "fiu"}
        data.assign(numbers).to_netcdf(self.out / name, engine="h5netcdf", encoding=packed)
