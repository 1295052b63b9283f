"""Whether bfloat16 products change phases: random cells of a diagram, trained again in float32.

    python -m tests.benchmarks.precision OUT [--sweep STORE] [--share 0.05]

The cells are of Fig. 3a as the ledger has it, or of STORE, a sweep in bfloat16 over the axes of the
preset fig3a, of any size. OUT receives the sweep of the chosen cells in float32, which a second
call of the command resumes, and ``precision.json``: how many runs and cells have the same phase in
both, and by how much accuracies differ. For comparison, how many pairs of seeds have the same phase
in bfloat16.
"""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.ledger.measures.diagrams import joined
from analyses.ledger.paper1.phase_diagrams import DECAY
from analyses.ledger.results import FOLDER, parts_of
from analyses.phase_diagrams import sweep_phases
from analyses.phase_diagrams.presets import WEIGHT_DECAY, X, Y
from grokinterp.files import replacing

PATHS: tuple[str, ...] = (WEIGHT_DECAY, X, Y)


def choose(sweep: xr.Dataset, share: float) -> dict[str, dict[str, float]]:
    """Cells drawn without replacement from a fixed seed: label -> settings."""
    cells = list(itertools.product(*(sweep[path].values.tolist() for path in PATHS)))
    n = round(share * len(cells))
    chosen = np.random.default_rng(0).choice(len(cells), size=n, replace=False)
    found = (dict(zip(PATHS, cells[i], strict=True)) for i in sorted(chosen))
    return {" ".join(f"{value:g}" for value in cell.values()): cell for cell in found}


def compare(low: xr.Dataset, high: xr.Dataset, cells: dict[str, dict[str, float]]) -> Any:
    """What differs between a sweep in bfloat16 and some of its cells in float32."""
    places = {
        path: xr.DataArray([cell[path] for cell in cells.values()], dims="cell") for path in PATHS
    }
    ours = low.sel(places).drop_vars(PATHS).assign_coords(cell=list(cells))
    one, other = (sweep_phases.compute(sweep) for sweep in (ours, high))
    same = one.phase == other.phase
    off = abs(ours.final_accuracy - high.final_accuracy).transpose("cell", "seed", "subset")
    seeds = [one.phase.sel(seed=seed, drop=True) for seed in one.seed]
    pairs = [(a == b).mean().item() for a, b in itertools.combinations(seeds, 2)]
    return {
        "cells": len(cells),
        "runs": same.size,
        "runs with the same phase": int(same.sum()),
        "cells with the same majority": int((one.majority == other.majority).sum()),
        "pairs of seeds with the same phase, share": float(np.mean(pairs)),
        "other phase": [
            {
                "cell": str(cell),
                "seed": int(seed),
                "bfloat16": str(one.phase.sel(cell=cell, seed=seed).item()),
                "float32": str(other.phase.sel(cell=cell, seed=seed).item()),
                "borderline": bool(other.borderline.sel(cell=cell, seed=seed)),
            }
            for cell, seed in itertools.product(one.cell.values, one.seed.values)
            if not same.sel(cell=cell, seed=seed)
        ],
        "difference of accuracy, median and largest": {
            str(subset): [float(part.median()), float(part.max())]
            for subset, part in off.groupby("subset")
        },
    }


def main() -> None:
    """Train the chosen cells and write the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sweep", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    given = parser.parse_args()
    if given.sweep is None:
        low = joined(list(parts_of(FOLDER, DECAY).values()), "fig3a")
    else:
        low = gi.open_sweep(given.sweep).load()
    cells = choose(low, given.share)
    config = gi.RunConfig.from_dict(json.loads(low.attrs["base"]))
    high = gi.sweep(config, {"cell": cells}, low.seed.values.tolist(), store=given.out / "float32")
    found = compare(low, high.load(), cells)
    with replacing(given.out / "precision.json") as file:
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
