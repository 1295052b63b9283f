"""The first paper's registered experiments, and what the ledger reads from their results."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from analyses.label_noise.deep_batchnorm import chosen
from analyses.label_noise.table_ipr import network
from analyses.ledger.measures.experiments import findings, without_text
from analyses.statistics.thresholds import GENERALISED_FROM
from grokinterp import MLPConfig
from probes import ipr

KINDS = ("transformer", "layers")


def dropout_curves(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Figs. 4b, 19 (dropout, seed): ``mean_ipr`` and ``final_train`` accuracy."""
    data = findings("dropout_curves", work, size=size, seeds=seeds)[0].data
    final = data.accuracy.isel(step=-1).sel(subset="train", drop=True)
    return xr.Dataset({"mean_ipr": data.mean_ipr, "final_train": final.drop_vars("step")})


def table_ipr(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Figs. 7, 12-14, over "figure", "place" (of the value in its list) and "seed".

    ``input_ipr`` and ``output_ipr``, means over living rows; ``test`` accuracy. Over "figure":
    ``largest_change``, of the mean input IPR between the first value and another, and
    ``relative_change``, the same as a share of what the first has above noise. Over "kind"
    ("transformer", "layers"), of all figures: ``least_periodic``, the smallest mean input IPR of a
    network that generalises, over that of noise; NaN if none generalises.
    """
    parts: list[xr.Dataset] = []
    kinds: list[str] = []
    names: list[str] = []
    for one in findings("table_ipr", work, size=size, seeds=seeds):
        names.append(str(one.name).removeprefix("table_ipr-"))
        data = one.data.assign_coords(value=np.arange(one.data.sizes["value"]))
        tables = {f"{t}_ipr": data.mean_ipr.sel(table=t, drop=True) for t in ("input", "output")}
        config = network(names[-1], size)
        kinds.append("layers" if isinstance(config.model, MLPConfig) else "transformer")
        noise, mean = _of_noise(config.data.p), tables["input_ipr"].mean("seed")
        first = mean.isel(value=0, drop=True)
        above, change = first - noise, abs(mean - first).max()
        gain = (tables["input_ipr"] / noise).where(data.test >= GENERALISED_FROM).min()
        numbers = {
            "largest_change": change,
            "relative_change": change / above.where(above > 0),
            "gain": gain,
        }
        found = xr.Dataset({**tables, **numbers, "test": data.test})
        parts.append(found.rename(value="place"))
    both = xr.concat(parts, xr.Variable("figure", names), join="outer")
    least = [both.gain.isel(figure=np.array(kinds) == kind).min() for kind in KINDS]
    return both.drop_vars("gain").assign(
        least_periodic=xr.concat(least, xr.Variable("kind", list(KINDS)))
    )


def _of_noise(p: int) -> float:
    """Mean IPR of Gaussian rows mod p."""
    rows = torch.randn(2000, p, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return float(ipr(rows).mean())


def deep_batchnorm(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 15 at the smallest weight decay at which most seeds generalise (all, if there is none).

    ``decay``, NaN if none; ``coexistence`` (seed), 1 or 0; ``ipr`` (seed, table) and
    ``correlation`` (seed, norm), NaN where no network generalises. ``inverts_without_decay``
    (seed): 1 if the network without weight decay is in Full Inversion.
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
    inverts = data.phase.sel(weight_decay=0.0, drop=True) == "full inversion"
    return kept.assign(
        decay=np.nan if decay is None else decay, inverts_without_decay=inverts.astype(float)
    )


def images(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 16 on scikit-learn's digits, at the larger corruption of the small scan.

    ``full_inversion``: 1 if some weight decay leads there in most seeds; ``confusion``: 1 if a
    larger one leads to that; ``test`` and ``train`` accuracies over dropout and seeds.
    """
    data = findings("images", work, size=size, seeds=seeds)[0].data
    data = data.sel(corruption=0.4, drop=True)
    decays = data.isel(setting=(data.scan == "weight_decay").values)
    dropouts = data.isel(setting=(data.scan == "dropout").values)
    last = dropouts.accuracy.isel(step=-1, drop=True)
    last = last.assign_coords(dropout=("setting", dropouts.value.values)).swap_dims(
        setting="dropout"
    )

    def leading_to(phase: str) -> np.ndarray:
        return decays.value.values[(decays.phase == phase).mean("seed").values > 0.5]

    full, confused = leading_to("full inversion"), leading_to("confusion")
    plain = last.drop_vars(["scan", "value"], errors="ignore")
    return xr.Dataset(
        {
            "full_inversion": float(full.size > 0),
            "confusion": float((confused > full.min(initial=np.inf)).any()),
            "test": plain.sel(subset="test", drop=True),
            "train": plain.sel(subset="train", drop=True),
        }
    )


def inversion_band(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 26, over "loss": ``width`` of the band of decays that invert, ``inside``, ``outside``.

    ``closed``: 1 if there is such a band, and a decay below and one above it do not invert.
    ``ends`` ("cross-entropy, at most", "squared error, at least"): the ratio of the band's edges.
    ``forgetting``: runs that forget with cross-entropy.
    """
    data = findings("inversion_band", work, size=size, seeds=seeds)[0].data
    forgets = (data.phase.sel(loss="cross_entropy") == "forgetting").sum()
    ends = {
        "cross-entropy, at most": data.most_width.sel(loss="cross_entropy", drop=True),
        "squared error, at least": data.least_width.sel(loss="mse", drop=True),
    }
    return without_text(data).assign(
        closed=data.outside.notnull().all("edge").astype(float),
        ends=xr.concat([*ends.values()], xr.Variable("end", [*ends])),
        forgetting=float(forgets),
    )


def pruned_width(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 32: ``exponent``, ``low``, ``high`` (reading), ``mean``, ``error`` (reading, width)."""
    data = findings("pruned_width", work, size=size, seeds=seeds)[0].data
    return without_text(data)
