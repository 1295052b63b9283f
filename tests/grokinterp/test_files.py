"""Datasets written as netCDF."""

from pathlib import Path

import xarray as xr

from grokinterp.files import write_netcdf


def test_words_from_files_of_shorter_ones_are_not_cut(tmp_path: Path) -> None:
    parts: list[xr.Dataset] = []
    for name in ("short", "rather longer"):
        file = tmp_path / f"{name}.nc"
        write_netcdf(xr.Dataset({"x": ("name", [1.0])}, coords={"name": [name]}), file)
        parts.append(xr.load_dataset(file, engine="h5netcdf"))
    write_netcdf(xr.concat(parts, "name"), tmp_path / "both.nc")
    both = xr.load_dataset(tmp_path / "both.nc", engine="h5netcdf")
    assert both.name.values.tolist() == ["short", "rather longer"]
