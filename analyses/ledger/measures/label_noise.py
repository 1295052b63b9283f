"""The first paper's registered experiments, and what the ledger reads from their results."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from analyses.label_noise.deep_batchnorm import chosen
from analyses.label_noise.table_ipr import wanted
from analyses.ledger.measures.experiments import findings, without_text
from analyses.statistics.thresholds import GENERALISED_FROM
from probes import ipr


def dropout_curves(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Figs. 4b, 19 (dropout, seed): ``mean_ipr`` and ``final_train`` accuracy."""
    data = findings("dropout_curves", work, size=size, seeds=seeds)[0].data
    final = data.accuracy.isel(step=-1).sel(subset="train", drop=True)
    return xr.Dataset({"mean_ipr": data.mean_ipr, "final_train": final.drop_vars("step")})


def table_ipr(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Figs. 7, 12-14, over "figure", "place" (of the value in its list) and "seed".

    ``input_ipr`` and ``output_ipr``, means over living rows; ``test`` accuracy. Over "figure":
    ``largest_change``, of the mean input IPR between the first value and another;
    ``least_periodic``, the smallest mean input IPR of a network that generalises, over that of
    noise.
    """
    parts: list[xr.Dataset] = []
    names: list[str] = []
    for one in findings("table_ipr", work, size=size, seeds=seeds):
        names.append(str(one.name).removeprefix("table_ipr-"))
        data = one.data.assign_coords(value=np.arange(one.data.sizes["value"]))
        tables = {f"{t}_ipr": data.mean_ipr.sel(table=t, drop=True) for t in ("input", "output")}
        p = wanted(names[-1], size, 1)[0].config.data.p
        generalises = data.test >= GENERALISED_FROM
        gain = (tables["input_ipr"] / _of_noise(p)).where(generalises).min()
        found = xr.Dataset({**tables, "test": data.test, "least_periodic": gain})
        parts.append(found.rename(value="place"))
    both = xr.concat(parts, xr.Variable("figure", names), join="outer")
    mean = both.input_ipr.mean("seed")
    return both.assign(largest_change=abs(mean - mean.isel(place=0)).max("place"))


def _of_noise(p: int) -> float:
    """Mean IPR of Gaussian rows mod p."""
    rows = torch.randn(2000, p, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return float(ipr(rows).mean())


def deep_batchnorm(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 15 at the smallest weight decay at which most seeds generalise (all, if there is none).

    ``decay``, NaN if none; ``coexistence`` (seed), 1 or 0; ``ipr`` (seed, table) and
    ``correlation`` (seed, norm), NaN where no network generalises.
    """
    data = findings("deep_batchnorm", work, size=size, seeds=seeds)[0].data
    decay = chosen(data)
    here = data.isel(weight_decay=0) if decay is None else data.sel(weight_decay=decay)
    found = xr.Dataset(
        {
            "coexistence": (here.phase == "coexistence").astype(float),
            "ipr": here.ipr,
            "correlation": here.correlation,
        }
    ).drop_vars("weight_decay")
    kept = found if decay is not None else found * np.nan
    return kept.assign(decay=np.nan if decay is None else decay)


def images(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 16 on scikit-learn's digits, at the larger corruption of the small scan.

    ``full_inversion`` and ``confusion``: 1 if some weight decay leads there in most seeds;
    ``test`` and ``train`` accuracies over dropout and seeds.
    """
    data = findings("images", work, size=size, seeds=seeds)[0].data
    data = data.sel(corruption=0.4, drop=True)
    decays = data.isel(setting=(data.scan == "weight_decay").values)
    dropouts = data.isel(setting=(data.scan == "dropout").values)
    last = dropouts.accuracy.isel(step=-1, drop=True)
    last = last.assign_coords(dropout=("setting", dropouts.value.values)).swap_dims(
        setting="dropout"
    )

    def leads_to(phase: str) -> float:
        return float(((decays.phase == phase).mean("seed") > 0.5).any())

    plain = last.drop_vars(["scan", "value"], errors="ignore")
    return xr.Dataset(
        {
            "full_inversion": leads_to("full inversion"),
            "confusion": leads_to("confusion"),
            "test": plain.sel(subset="test", drop=True),
            "train": plain.sel(subset="train", drop=True),
        }
    )


def inversion_band(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 26, over "loss": ``width`` of the band of decays that invert, ``inside``, ``outside``.

    ``forgetting``: runs that forget with cross-entropy.
    """
    data = findings("inversion_band", work, size=size, seeds=seeds)[0].data
    forgets = (data.phase.sel(loss="cross_entropy") == "forgetting").sum()
    return without_text(data).assign(forgetting=float(forgets))


def pruned_width(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 32: ``exponent``, ``low``, ``high`` (reading), ``mean``, ``error`` (reading, width)."""
    data = findings("pruned_width", work, size=size, seeds=seeds)[0].data
    return without_text(data)
