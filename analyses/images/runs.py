"""The scans over weight decay and over dropout, and their stored results."""

import dataclasses
import json
from collections.abc import Sequence
from itertools import product
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from analyses.images import training
from analyses.images.loading import Images
from analyses.images.training import ImageConfig
from grokinterp.bars import progress_bar
from grokinterp.checks import check_choice
from grokinterp.files import replacing, write_netcdf
from grokinterp.frozen import frozen_config
from grokinterp.sweeps.collect import folder_name


@frozen_config
class Scan:
    """The runs of one size. Each setting is scanned with the other at 0."""

    base: ImageConfig
    corruptions: tuple[float, ...]
    weight_decays: tuple[float, ...]
    dropouts: tuple[float, ...]

    def settings(self) -> list[tuple[str, float]]:
        """What is scanned, "weight_decay" or "dropout", and its value; 0 is in both scans."""
        decays = [("weight_decay", value) for value in self.weight_decays]
        return decays + [("dropout", value) for value in self.dropouts]

    def config(self, setting: tuple[str, float], corruption: float, seed: int) -> ImageConfig:
        """The config of one run."""
        name, value = setting
        changes: dict[str, Any] = {name: value, "corruption": corruption, "seed": seed}
        return dataclasses.replace(self.base, **changes)

    def configs(self, seeds: int) -> list[ImageConfig]:
        """The configs of all runs, each once."""
        cells = product(self.settings(), self.corruptions, range(seeds))
        return list(dict.fromkeys(self.config(*cell) for cell in cells))


_DROPOUTS = (0.0, 0.2, 0.4, 0.6, 0.8)
# Chosen after one seed of the small network on digits at corruption 0.4, 2000 steps. It memorised
# at 0, inverted at 3, and neither learned nor memorised at 10.
_DECAYS = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)
SCANS = {
    "tiny": Scan(
        base=ImageConfig(n_train=300, width=32, steps=200, lr=3e-3),
        corruptions=(0.4,),
        weight_decays=(0.0, 3.0),
        dropouts=(0.0, 0.5),
    ),
    "small": Scan(
        base=ImageConfig(n_train=1000, width=128, steps=3000),
        corruptions=(0.2, 0.4),
        weight_decays=_DECAYS,
        dropouts=_DROPOUTS,
    ),
    "published": Scan(
        base=ImageConfig(),
        corruptions=(0.2, 0.4, 0.6),
        weight_decays=_DECAYS,
        dropouts=_DROPOUTS,
    ),
}
_DIGITS_TRAIN = 1000  # of 1797, where the size does not say how many and the images have no split


def scan_of(size: str, images: Images) -> Scan:
    """The scan of a size; images without a split of their own need a number of training images."""
    check_choice("size", size, SCANS)
    scan = SCANS[size]
    if scan.base.n_train is None and images.is_test is None:
        n_train = min(_DIGITS_TRAIN, len(images.labels) * 2 // 3)
        scan = dataclasses.replace(scan, base=dataclasses.replace(scan.base, n_train=n_train))
    return scan


def file_of(out: str | PathLike[str], images: Images, config: ImageConfig) -> Path:
    """Where the result of a run is stored."""
    words = ("decay", config.weight_decay, "dropout", config.dropout, "xi", config.corruption)
    return Path(out) / f"{folder_name(images.name, *words, 'seed', config.seed)}.nc"


def collect(
    out: str | PathLike[str],
    images: Images,
    configs: Sequence[ImageConfig],
    *,
    progress: bool = True,
) -> list[xr.Dataset]:
    """The histories of runs, in order; each that is missing from ``out`` is trained and stored.

    Raises:
        ValueError: a stored result is damaged, or of other settings or images.
    """
    found = {config: _load(out, images, config) for config in configs}  # before training for hours
    missing = [config for config, run in found.items() if run is None]
    steps = sum(config.steps for config in missing)
    with progress_bar(steps, unit="step", desc="training on images", wanted=progress) as bar:
        for config in missing:
            run = training.train(images, config, tick=bar.update)
            run = run.assign_attrs(_identity(images, config))
            with replacing(file_of(out, images, config)) as file:
                write_netcdf(run, file)
            found[config] = run
    return [run for config in configs if (run := found[config]) is not None]


def _identity(images: Images, config: ImageConfig) -> dict[str, str]:
    return {"config": json.dumps(dataclasses.asdict(config)), "images": images.digest}


def _load(out: str | PathLike[str], images: Images, config: ImageConfig) -> xr.Dataset | None:
    path = file_of(out, images, config)
    if not path.exists():
        return None
    try:
        stored = xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error!s:.80}); remove it to train again") from error
    for name, value in _identity(images, config).items():
        if stored.attrs.get(name) != value:
            what = "settings" if name == "config" else "images"
            raise ValueError(f"{path} was made with other {what}; choose another folder or move it")
    return stored
