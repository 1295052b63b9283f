"""Stored results: a small JSON file for each source, and a netCDF file for its curves.

The JSON holds the numbers per seed, the settings, the key of the code that computed them, versions,
device and wall time, the checksums of the netCDF file and of the results it was computed from, and
its own. A file that was edited by hand is refused; a result of other code or other settings than
the ledger now declares, or of parts that have another result now, is stale.
"""

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr

from analyses.checkout import checked_out
from analyses.ledger.code_key import code_key
from analyses.ledger.entry import NETWORKS, Source
from analyses.registry import EXPERIMENTS
from grokinterp.files import replacing
from grokinterp.json_files import read_json
from grokinterp.short_text import short_repr

FOLDER = Path(__file__).parent / "results"  # of the results that come with the package
_PACKAGES = ("grokinterp", "torch", "numpy", "scipy", "xarray")


@short_repr
@dataclass(frozen=True, kw_only=True, eq=False)  # eq=False: a dataset has no single truth value
class Result:
    """A stored result."""

    data: xr.Dataset
    about: Mapping[str, Any]  # settings, seeds, code, versions, device, seconds


class ResultError(ValueError):
    """A result is not valid.

    Attributes:
        reason: "altered", "damaged", "stale", or "absent" of what another needs.
        result: of a stale one, what other code or settings gave; else None.
    """

    def __init__(self, reason: str, message: str, result: Result | None = None) -> None:
        super().__init__(message)
        self.reason, self.result = reason, result


_key = cache(code_key)  # of the code as it was when this process first asked


def key_of(source: Source) -> str:
    """The key of the code that computes a source, as it was when this process first asked."""
    return "" if source.compute is None else _key(*_starts(source), without=_unused(source))


def key_now(source: Source) -> str:
    """The same of the files as they are now; "unreadable" in the middle of an edit."""
    try:
        return code_key(*_starts(source), without=_unused(source))
    except (ValueError, SyntaxError, OSError):
        return "unreadable"


def _starts(source: Source) -> list[str]:
    """The functions that the code of a source begins with."""
    starts = [] if source.compute is None else [source.compute]
    if source.experiment is not None:
        starts.append(f"{EXPERIMENTS[source.experiment].module}:experiment")
    return starts


def training_key(source: Source) -> str:
    """The key of the code that trains a source's networks: names the folder that keeps them."""
    return _key("grokinterp.training.trainer:train_many", without=_unused(source))


def _unused(source: Source) -> tuple[str, ...]:
    """Beginnings of the names of modules of architectures that a source does not train."""
    return tuple(
        module
        for name, modules in NETWORKS.items()
        if name not in source.networks
        for module in modules
    )


def store(folder: Path, source: Source, data: xr.Dataset, seconds: float, code: str) -> None:
    """Write a result; the JSON last, so that an interrupt leaves the earlier result or none.

    Args:
        folder: of the results.
        source: what was computed.
        data: its result; the attribute "sentence", if it has one, is shown with every verdict.
        seconds: wall time.
        code: :func:`key_of` the source before it was computed.
    """
    own = [name for name in data.data_vars if set(data[name].dims) <= {"seed"}]
    curves, checksum = data.drop_vars(own), None
    curves = curves.map(_halved)
    if curves.data_vars:
        packed = {
            name: {"zlib": True} for name in curves.data_vars if curves[name].dtype.kind in "if"
        }
        content = curves.drop_encoding().to_netcdf(engine="h5netcdf", encoding=packed)
        checksum = hashlib.sha256(bytes(content)).hexdigest()
        with replacing(folder / f"{source.name}.{checksum[:8]}.nc") as file:
            file.write_bytes(content)
    about = {
        "source": source.name,
        "settings": dict(source.settings),
        "seeds": source.seeds,
        "code": code,
        "commit": _commit(),
        "sentence": str(data.attrs.get("sentence", "")),
        "versions": {name: version(name) for name in _PACKAGES}
        | {"python": platform.python_version()},
        "device": _device(),
        "seconds": round(seconds, 1),
        "values": {str(name): _plain(data[name]) for name in own},
        "curves": checksum,
    }
    if source.parts:
        about["parts"] = _checksums(folder, source.parts)
    about["sha256"] = _digest(about)
    with replacing(folder / f"{source.name}.json") as file:
        file.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    for old in folder.glob(f"{source.name}.????????.nc"):
        if checksum is None or old.name != f"{source.name}.{checksum[:8]}.nc":
            old.unlink()


def load(folder: Path, source: Source) -> Result | None:
    """The stored result of a source; None if there is none.

    Raises:
        ResultError: it was edited by hand, is damaged, or is of other code or settings.
    """
    path = folder / f"{source.name}.json"
    if not path.is_file():
        return None
    again = f"remove {path} and run it again"
    try:
        about = read_json(path)
    except ValueError as error:
        raise ResultError("damaged", f"{error}; {again}") from error
    if not isinstance(about, dict) or about.get("sha256") != _digest(about):
        raise ResultError(
            "altered", f"{path} was edited: its checksum differs from its contents; {again}"
        )
    data = xr.Dataset(
        {
            name: ("seed", [_number(one) for one in value])
            if isinstance(value, list)
            else ((), _number(value))
            for name, value in about["values"].items()
        }
    )
    if about["curves"] is not None:
        data = data.merge(_curves(path.with_name(f"{source.name}.{about['curves'][:8]}.nc"), about))
    result = Result(data=data, about=about)
    wanted = {"settings": json.loads(json.dumps(dict(source.settings))), "seeds": source.seeds}
    for name, value in wanted.items():
        if about[name] != value:
            message = f"{path} is of {name} {about[name]}, but the ledger says {value}; {again}"
            raise ResultError("stale", message, result)
    if about["code"] != key_of(source):
        message = f"{path} was computed by other code ({about['code']}, now {key_of(source)})"
        raise ResultError("stale", message, result)
    now = _checksums(folder, source.parts)
    if changed := [name for name in now if about["parts"].get(name) != now[name]]:
        message = f"{path} was computed from other results of {', '.join(changed)}; {again}"
        raise ResultError("stale", message, result)
    return result


def parts_of(folder: Path, source: Source) -> dict[str, xr.Dataset]:
    """The stored results that a source is computed from, by the names of its parts.

    Raises:
        ResultError: one of them is absent or not valid.
    """
    found: dict[str, xr.Dataset] = {}
    for part in source.parts:
        if (result := load(folder, part)) is None:
            what = f"{source.name} is computed from {part.name}, which has no result in {folder}"
            raise ResultError("absent", f"{what}; run it first: grokinterp ledger run")
        found[part.name] = result.data
    return found


def _checksums(folder: Path, sources: Iterable[Source]) -> dict[str, str]:
    """Of stored results, by the names of their sources; "" where there is no valid one."""
    found: dict[str, str] = {}
    for source in sources:
        try:
            result = load(folder, source)
        except ResultError:
            result = None
        found[source.name] = "" if result is None else result.about["sha256"]
    return found


def _halved(values: xr.DataArray) -> xr.DataArray:
    """In single precision if there are many, as for curves and neurons; counts stay exact."""
    many = values.size > 1000 and values.dtype == float
    return values.astype("float32") if many else values


def _curves(path: Path, about: Mapping[str, Any]) -> xr.Dataset:
    again = f"remove {path.parent / about['source']}.json and run it again"
    if not path.is_file():
        raise ResultError("damaged", f"{path} is missing; {again}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != about["curves"]:
        raise ResultError("altered", f"{path} was edited: its checksum differs; {again}")
    with xr.open_dataset(path, engine="h5netcdf") as stored:
        return stored.load()


def _digest(about: Mapping[str, Any]) -> str:
    """SHA-256 of a result's JSON without its own checksum; independent of the file's layout."""
    text = json.dumps({k: v for k, v in about.items() if k != "sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(values: xr.DataArray) -> Any:
    """Numbers for JSON: None for NaN, which JSON does not have, and text for infinity."""

    def one(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        return value

    listed = values.values.tolist()
    return [one(value) for value in listed] if isinstance(listed, list) else one(listed)


def _number(value: Any) -> Any:
    """What :func:`_plain` made this of."""
    if value is None:
        return math.nan
    return float(value) if value in ("inf", "-inf") else value


def _commit() -> str:
    """The commit of the working tree, "+" behind it if files differ from it; "" outside of one."""
    head, changed = checked_out(Path(__file__).parents[2])
    return head + "+" * changed


def _device() -> str:
    """The GPU if torch sees one, and the processor otherwise."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    model = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
        model = names[0] if names else ""
    return f"{model or platform.machine()}, {os.cpu_count()} cores"
