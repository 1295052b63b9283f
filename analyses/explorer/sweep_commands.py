"""Commands that an explored sweep needs next: to go on with it, and to train one of its runs."""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from analyses.phase_diagrams.diagram_page import STORE
from analyses.phase_diagrams.presets import PRESETS, SIZES
from grokinterp import MLPConfig, RunConfig
from grokinterp.config import config_paths

_DEFAULT = {"data": {"corruption": 0.35}}  # of ``grokinterp train``
_LONGEST = 400  # letters of a command


def go_on(sweep: xr.Dataset, store: Path) -> str:
    """What trains the missing runs of a store, as a sentence."""
    if store.suffix == ".nc":
        return "This file is a copy; go on with the store that it was made from."
    command = _preset_command(json.loads(sweep.attrs.get("identity", "{}")), store)
    if command is None:
        return (
            "To go on, repeat what began it: grokinterp sweep with --resume, or gi.sweep with the "
            f"same arguments and store={str(store)!r}."
        )
    return f"To go on: {command}"


def _preset_command(identity: Mapping[str, Any], store: Path) -> str | None:
    """The ``grokinterp sweep`` that began a store, if it was a preset without changes."""
    if store.name != STORE or not identity:
        return None
    axes = dict(identity["axes"])
    seeds = axes.pop("seed")
    for name, preset in PRESETS.items():
        for size in SIZES:
            known = {path: list(values) for path, values in preset.axes(size).items()}
            base = json.loads(json.dumps(preset.config(size).to_dict()))
            if known == axes and base == identity["base"] and seeds == list(range(len(seeds))):
                options = {
                    f"--seeds {len(seeds)}": len(seeds) > 1,
                    f"--precision {identity['precision']}": identity["precision"] != "float32",
                    "--per-neuron": "ipr" in identity["measure"],
                    "--adaptive": bool(identity.get("refine")),
                }
                given = " ".join(option for option, is_set in options.items() if is_set)
                out = shlex.quote(str(store.parent))
                return f"grokinterp sweep {name} --size {size} --out {out} {given} --resume"
    return None


def train_command(sweep: xr.Dataset, cells: list[str]) -> dict[str, Any] | None:
    """The parts of the ``grokinterp train`` that repeats one run of a sweep.

    Returns:
        ``base``, ``axes`` [axis][value] and ``seeds`` [seed], each options of the command; None
        if a setting cannot be given on the command line.
    """
    plain = json.loads(sweep.attrs.get("base", "null"))
    if plain is None or "data.protocol" in cells:
        return None
    kind = plain["model"]["kind"]
    try:
        base = RunConfig.from_dict(plain)
        default = RunConfig.from_dict(_DEFAULT | {"model": {"kind": kind}})
    except (TypeError, ValueError):  # an architecture of the user's own
        return None
    if not set(cells) <= set(config_paths(base)):
        return None  # an axis of labels, whose settings a store does not hold
    swept = {*cells, "seed", "data.seed"}
    own, known = dict(_flat(base.to_dict())), dict(_flat(default.to_dict()))
    changed = {path: v for path, v in own.items() if path not in swept and known.get(path) != v}
    if any(isinstance(value, dict) for value in changed.values()):
        return None
    model = "" if isinstance(base.model, MLPConfig) else f"--model {kind} "
    words = model + " ".join(_set(path, value) for path, value in changed.items())
    precision = json.loads(sweep.attrs.get("identity", "{}")).get("precision", "float32")
    if precision != "float32":
        words = f"{words} --precision {precision}".strip()
    if len(words) > _LONGEST:
        return None
    draws_data = "data.seed" in cells or base.data.protocol == "published"
    seeds = [
        _set("seed", seed) + ("" if draws_data else f" {_set('data.seed', seed)}")
        for seed in sweep.seed.values.tolist()
    ]
    axes = [[_set(dim, value) for value in sweep[dim].values.tolist()] for dim in cells]
    return {"base": words.strip(), "axes": axes, "seeds": seeds}


def _set(path: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"--set {shlex.quote(f'{path}={text}')}"


def _flat(plain: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    """Values by dotted path, without the network's kind; a table stays a dictionary."""
    for name, value in plain.items():
        path = f"{start}{name}"
        if path in ("data", "model", "training"):
            yield from _flat(value, f"{path}.")
        elif path != "model.kind":
            yield path, value
