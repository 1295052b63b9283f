"""Every probe and every hook on the network of a run."""

import copy
import dataclasses
import inspect
import random
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

import grokinterp as gi
import probes
from tests.fuzz.draw import ODD
from tests.tolerance import rounding

# Every probe of a model, by name: called with the model, the run's data set and its operation.
PROBES: dict[str, Callable[[Any, gi.Dataset, Any], Any]] = {
    "gradient_symmetricity": lambda m, d, o: probes.gradient_symmetricity(m).cosines,
    "logit_attribution": lambda m, d, o: probes.logit_attribution(m, d.tokens, d.labels),
    "mean_ipr": lambda m, d, o: probes.mean_ipr(m),
    "model_circularity": lambda m, d, o: probes.model_circularity(m, o, components=2),
    "model_clock_or_pizza": lambda m, d, o: probes.model_clock_or_pizza(m, o),
    "model_distance_irrelevance": lambda m, d, o: probes.model_distance_irrelevance(m, o),
    "model_frequency_scores": lambda m, d, o: probes.model_frequency_scores(m, o),
    "model_gamma_ipr": lambda m, d, o: probes.model_gamma_ipr(m, o),
    "model_key_frequencies": lambda m, d, o: probes.model_key_frequencies(m, o),
    "model_logit_spectrum": lambda m, d, o: probes.model_logit_spectrum(m, o),
    "model_neuron_attribution": lambda m, d, o: probes.model_neuron_attribution(
        m, d.tokens, d.labels
    ),
    "model_neuron_ipr": lambda m, d, o: probes.model_neuron_ipr(m),
    "model_neuron_norms": lambda m, d, o: probes.model_neuron_norms(m),
    "model_neuron_spectra": lambda m, d, o: probes.model_neuron_spectra(m, o),
    "model_solution_form": lambda m, d, o: probes.model_solution_form(m, o),
    "model_table_spectra": lambda m, d, o: probes.model_table_spectra(m, o),
    "neuron_weights": lambda m, d, o: probes.neuron_weights(m),
    "own_frequency_weights": lambda m, d, o: probes.own_frequency_weights(m, o),
    "pruning_curve": lambda m, d, o: probes.pruning_curve(
        m, d, torch.arange(getattr(m.cfg, "d_mlp", None) or 1)
    ),
    "unit_halves": lambda m, d, o: [
        probes.unit_halves(m, torch.arange(units.count) < units.count // 2, unit=units.name).share
        for units in m.list_units().values()
        if units.name != "frequencies"
    ],
    "unit_norms": lambda m, d, o: [
        probes.unit_norms(m, unit) for unit in m.list_units() if unit != "frequencies"
    ],
    "unit_periodicity": lambda m, d, o: [
        probes.unit_periodicity(m, unit, operation=o).scores
        for unit in m.list_units()
        if unit != "frequencies"
    ],
    "unit_pruning_curve": lambda m, d, o: [
        probes.unit_pruning_curve(m, d, torch.arange(units.count), unit=units.name, removals=3)
        for units in m.list_units().values()
    ],
    "exact_effects": lambda m, d, o: [probes.exact_effects(m, d, unit) for unit in m.list_units()],
    "linear_effects": lambda m, d, o: probes.linear_effects(m, d),
    "direct_effects": lambda m, d, o: probes.direct_effects(m, d),
    "path_patching": lambda m, d, o: probes.path_patching(
        m, (next(iter(m.list_units())), 0), None, d.tokens, d.tokens.flip(1)
    ),
    "subset_scores": lambda m, d, o: probes.subset_scores(m, d),
    "network_on_pairs": lambda m, d, o: probes.network_on_pairs(m).logits(),
    "halves": lambda m, d, o: [
        w for half in probes.halves(m, 0.5).values() for w in half.state_dict().values()
    ],
    "least_norm": lambda m, d, o: probes.least_norm(m, d.tokens, d.labels, 1.0),
    "logit_parts": lambda m, d, o: probes.logit_parts(m, d.tokens, low=0.2, high=0.5),
    "matched_norm": lambda m, d, o: probes.matched_norm(m, d.tokens, d.labels, 1.0),
    "model_label_logits": lambda m, d, o: probes.model_label_logits(m, d.tokens, d.labels),
    "model_label_margins": lambda m, d, o: probes.model_label_margins(m, d.tokens, d.labels),
    "norms_by_layer": lambda m, d, o: probes.norms_by_layer(m),
    "parameter_norm": lambda m, d, o: probes.parameter_norm(m),
    "stationarity": lambda m, d, o: probes.stationarity(m, d.tokens, d.labels),
    "weight_norms": lambda m, d, o: probes.weight_norms(m),
}
NEVER_NAN = ("weight_norms", "network_on_pairs", "neuron_weights", "model_neuron_norms")


def check_complete() -> None:
    """Raise unless every probe of a model is in ``PROBES``."""
    of_models = {
        name
        for name in probes.__all__
        if inspect.isfunction(function := getattr(probes, name))
        and next(iter(inspect.signature(function).parameters)) == "model"
    }
    if missing := of_models ^ PROBES.keys():
        raise SystemExit(f"readings.py and probes.__all__ disagree on {sorted(missing)}")


def probe_everything(run: gi.Run, findings: list[str]) -> None:
    """Each probe returns numbers or refuses, and leaves the network as it was."""
    state = {name: weight.clone() for name, weight in run.model.state_dict().items()}
    for name, probe in PROBES.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = probe(run.model, run.dataset, run.config.data.operation)
            except Exception as error:
                if not refuses(error):
                    findings.append(f"{name}: {shown(error)}")
                continue
        findings += [f"{name} warns {w.category.__name__}: {w.message}" for w in caught]
        parts = [  # in float64 at once: a loss of 1e43 is infinite in float32
            torch.as_tensor(value, dtype=torch.float64).flatten() for value in numbers(found)
        ]
        values = torch.cat([torch.zeros(0).double(), *parts])
        if run.diverged_at is None and values.isinf().any():
            findings.append(f"{name} gives inf")
        if run.diverged_at is None and name in NEVER_NAN and values.isnan().any():
            findings.append(f"{name} gives NaN")
    for name, weight in run.model.state_dict().items():
        if not torch.equal(weight.nan_to_num(), state[name].nan_to_num()):
            findings.append(f"a probe changed {name}")
    if run.model.training or any(p._forward_hooks for p in run.model.hook_dict.values()):
        findings.append("a probe left training mode or a hook behind")


def refuses(error: Exception) -> bool:
    """Whether an error is one of ours that says what is wrong, of a documented kind."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    ours = any(part in last for part in ("/grokinterp/", "/probes/", "/analyses/"))
    return ours and type(error) in (TypeError, ValueError, IndexError) and len(str(error)) > 20


def numbers(found: Any) -> Iterator[Any]:
    """Every number or tensor in a probe's result."""
    if isinstance(found, Tensor | float | int) and not isinstance(found, bool):
        yield found
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from numbers(value)
    elif isinstance(found, list | tuple):
        for value in found:
            yield from numbers(value)
    elif dataclasses.is_dataclass(found):
        for field in dataclasses.fields(found):
            yield from numbers(getattr(found, field.name))


def use_hooks(run: gi.Run, number: int, findings: list[str]) -> None:
    """Hooks that should change nothing change nothing; others do what they say or refuse."""
    if run.diverged_at is not None:
        return
    rng = random.Random(number)
    model, tokens = copy.deepcopy(run.model).double(), run.dataset.tokens
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        logits = model(tokens)
        whole, cache = model.run_with_cache(tokens)
        scale = max([1.0, *(x.abs().max().item() for x in cache.values() if x.isfinite().all())])
        gap = rounding(torch.float64, 10_000, scale)

        def same(name: str, found: Tensor) -> None:
            if not (found - logits).abs().max() <= gap:
                findings.append(f"{name} moves logits by {(found - logits).abs().max()} of {scale}")

        same("run_with_cache", whole)
        for name in rng.sample(list(cache), min(4, len(cache))):
            width = cache[name].shape[-1]
            chosen = list(range(width))
            own = gi.patch(dict(cache), [name])
            same(f"patch {name}", model.run_with_hooks(tokens, fwd_hooks=own))
            if name.endswith(("attn_scores", "hook_scale")):
                continue  # 0 times a causal mask's -inf, or divided by 0
            by_one = gi.scale(chosen, 1.0, hook=name)
            same(f"scale {name} by 1", model.run_with_hooks(tokens, fwd_hooks=by_one))
            zero = model.run_with_hooks(tokens, fwd_hooks=gi.scale(chosen, 0.0, hook=name))
            gone = model.run_with_hooks(tokens, fwd_hooks=gi.ablate(chosen, hook=name))
            if not torch.allclose(zero, gone, rtol=0, atol=gap, equal_nan=True):
                findings.append(f"ablate {name} is not scaling by 0")
            _try_odd_hooks(model, tokens, name, rng, findings)
        _filter_embedding(model, tokens, same, findings)
        same("after all hooks", model(tokens))


def _try_odd_hooks(
    model: Any, tokens: Tensor, name: str, rng: random.Random, findings: list[str]
) -> None:
    odd, mode = rng.choice(ODD)(), rng.choice(["zero", "mean", "resample", rng.choice(ODD)()])
    tries: dict[str, Callable[[], Any]] = {
        f"ablate({odd!r:.60}, {mode!r:.20}, hook={name!r})": lambda: gi.ablate(
            odd, mode, hook=name
        ),
        f"scale([0], {odd!r:.60}, hook={name!r})": lambda: gi.scale([0], odd, hook=name),
        f"ablate_heads({odd!r:.60})": lambda: gi.ablate_heads(odd),
        f"ablate([0], 'mean', hook={name!r}) on one": lambda: gi.ablate([0], "mean", hook=name),
    }
    for what, make in tries.items():
        try:
            found = model.run_with_hooks(tokens, fwd_hooks=make())
        except Exception as error:
            if not refuses(error):
                findings.append(f"{what}: {shown(error)}")
            continue
        large = isinstance(odd, float | int) and abs(odd) > 1e100  # as a factor
        if not (found.isfinite().all() or name.endswith("scale") or large):
            findings.append(f"{what} gives logits that are not finite")


def _filter_embedding(
    model: Any, tokens: Tensor, same: Callable[[str, Tensor], None], findings: list[str]
) -> None:
    state = {name: weight.clone() for name, weight in model.state_dict().items()}
    with gi.filtered_embedding(model, range(1, model.p // 2 + 1)):
        same("an embedding with all frequencies", model(tokens))
    for name, weight in model.state_dict().items():
        if not torch.equal(weight, state[name]):
            findings.append(f"filtered_embedding left {name} changed")


def shown(error: Exception) -> str:
    """An error and where it came from, on one line."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {frame.filename}:{frame.lineno}: {str(error)[:300]}"
