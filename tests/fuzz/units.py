"""Every unit of a run's network taken out, as a whole and in part, by all that takes units."""

import copy
import random
import warnings
from typing import Any

import torch
from torch import Tensor

import grokinterp as gi
import probes
from grokinterp.interventions import ABLATIONS
from grokinterp.models.units import FREQUENCIES, Units
from probes.unit_pruning import Removals
from tests.fuzz.draw import ODD
from tests.fuzz.readings import refuses, shown
from tests.tolerance import rounding


def use_units(run: gi.Run, number: int, findings: list[str]) -> None:
    """What several ways to take units out give is the same; odd arguments are refused."""
    if run.diverged_at is not None:
        return
    rng = random.Random(number)
    model = copy.deepcopy(run.model).double()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for units in model.list_units().values():
            try:
                _take_out(model, run.dataset, units, rng, findings)
            except Exception as error:
                findings.append(f"units {units.name}: {shown(error)}")
            _try_odd(model, run.dataset, units.name, rng, findings)


def _take_out(
    model: Any, data: gi.Dataset, units: Units, rng: random.Random, findings: list[str]
) -> None:
    network, name = probes.network_on_pairs(model), units.name
    mode, tokens = rng.choice(ABLATIONS), network.pairs
    _, cache = model.run_with_cache(tokens)
    scale = max([1.0, *(x.abs().max().item() for x in cache.values() if x.isfinite().all())])
    gap = rounding(torch.float64, 10_000, scale)

    def same(what: str, one: Tensor, other: Tensor) -> None:
        if not (one - other).abs().max() <= gap:
            findings.append(f"{what} {name}, {mode}: off by {(one - other).abs().max()} of {scale}")

    whole, everything = network.logits(), list(range(units.count))
    same("scaling by 1", network.run(tokens, gi.scale(everything, 1.0, unit=name)), whole)
    reference = {} if name == FREQUENCIES else {"reference": cache}
    if reference:
        same("patching by itself", network.run(tokens, gi.patch(cache, [name])), whole)
    score = torch.tensor([rng.random() for _ in everything], dtype=torch.float64)
    chosen = gi.lowest(score, rng.random())
    taken_out = Removals(network, name, mode, seed=3)
    hooks = gi.ablate(chosen, mode, unit=name, seed=3, **reference)
    same("removal", taken_out.logits(chosen), network.run(tokens, hooks))
    if name != FREQUENCIES and mode != "resample" and 0 < int(chosen.sum()) < units.count:
        halves = probes.unit_halves(model, ~chosen, unit=name, mode=mode)
        half = probes.network_on_pairs(halves.parts["generalising"]).logits()
        same("half", half, taken_out.logits(chosen))
    effects = probes.exact_effects(network, data, name, mode=mode, seed=3)
    i = rng.choice(everything)
    alone = taken_out.logits(torch.tensor([i]))
    for subset, mask in data.masks.items():
        if mask.any():
            loss = [probes.loss(logits, data.labels, mask) for logits in (alone, whole)]
            change = effects.loss[subset][i]
            if not abs(float(change) - (loss[0] - loss[1])) <= gap * scale:
                findings.append(f"effect of {name} {i}, {mode}: {change} is not {loss}")


def _try_odd(
    model: Any, data: gi.Dataset, name: str, rng: random.Random, findings: list[str]
) -> None:
    odd, mode = rng.choice(ODD)(), rng.choice(ABLATIONS)
    tries = {
        f"ablate({odd!r:.60}, unit={name!r})": lambda: model.run_with_hooks(
            data.tokens, fwd_hooks=gi.ablate(odd, mode, unit=name)
        ),
        f"ablate([0], unit={odd!r:.60})": lambda: model.run_with_hooks(
            data.tokens, fwd_hooks=gi.ablate([0], mode, unit=odd)
        ),
        f"exact_effects(unit={odd!r:.60})": lambda: probes.exact_effects(model, data, odd),
        f"unit_halves({odd!r:.60}, unit={name!r})": lambda: probes.unit_halves(
            model, odd, unit=name
        ),
        f"unit_pruning_curve({odd!r:.60}, unit={name!r})": lambda: probes.unit_pruning_curve(
            model, data, odd, unit=name, removals=2
        ),
        f"path_patching(({name!r}, {odd!r:.60}))": lambda: probes.path_patching(
            model, (name, odd), None, data.tokens, data.tokens.roll(1, dims=0)
        ),
    }
    for what, ask in tries.items():
        try:
            ask()
        except Exception as error:
            if not refuses(error):
                findings.append(f"{what}: {shown(error)}")
