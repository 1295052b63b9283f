"""Networks that a probe or an analysis does not take: what their refusals name does the job."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import analyses
import grokinterp as gi
import probes
from analyses.one_run import (
    frequency_winners,
    grokking,
    ipr_histogram,
    norm_curves,
    norm_gain,
    solution_form,
    spectral_surgery,
)
from analyses.pages.report import write_report
from analyses.phase_diagrams import measures
from probes import needed_norm

MODELS: dict[str, Any] = {
    "transformer": gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=16, init="paper1"),
    "LSTM": gi.LSTMConfig(d_embed=8, d_hidden=8),
    "embedding MLP": gi.EmbeddingMLPConfig(d_embed=8, hidden=(16, 16)),
    "deep MLP": gi.MLPConfig(d_mlp=16, n_layers=2),
    "MLP with norm": gi.MLPConfig(d_mlp=16, norm="layer"),
}
SPECTRA, ATTRIBUTION = "probes.model_neuron_spectra", "probes.logit_attribution"
ABLATE, SCORES = "gi.ablate", "probes.subset_scores"


@pytest.fixture(scope="module")
def runs() -> dict[str, gi.Run]:
    data = gi.DataConfig(p=11, train_fraction=0.6, corruption=0.3, seed=3)
    training = gi.TrainConfig(steps=2)
    configs = [gi.RunConfig(data=data, model=model, training=training) for model in MODELS.values()]
    return dict(zip(MODELS, map(gi.train, configs), strict=True))


def of_model(probe: Callable[..., Any], *rest: Any) -> Callable[[gi.Run], Any]:
    return lambda run: probe(run.model, *rest)


def on_data(probe: Callable[..., Any]) -> Callable[[gi.Run], Any]:
    return lambda run: probe(run.model, run.dataset.tokens, run.dataset.labels)


# What is asked, what the refusal must name, and which networks are taken.
REFUSALS: list[tuple[Callable[[gi.Run], Any], list[str], list[str]]] = [
    (of_model(probes.neuron_weights), [SPECTRA], ["MLP with norm"]),
    (of_model(probes.model_neuron_ipr), [SPECTRA], ["MLP with norm"]),
    (of_model(probes.mean_ipr), [SPECTRA], ["MLP with norm"]),
    (of_model(probes.model_neuron_norms), ["probes.weight_norms"], ["MLP with norm"]),
    (on_data(probes.model_neuron_attribution), [ATTRIBUTION, ABLATE], []),
    (
        lambda run: probes.pruning_curve(
            run.model, run.dataset, torch.arange(16), unit=next(iter(run.model.unit_hooks))
        ),
        [ABLATE, SCORES, "probes.unit_pruning_curve"],
        [],
    ),
    (solution_form.compute, ["probes.unit_periodicity"], ["MLP with norm"]),
    (of_model(probes.model_solution_form), ["probes.unit_periodicity"], ["MLP with norm"]),
    (spectral_surgery.compute, ["gi.filtered_embedding"], ["MLP with norm"]),
    (of_model(probes.own_frequency_weights), ["gi.filtered_embedding"], ["MLP with norm"]),
    (frequency_winners.compute, ["analyses.progress_measures"], ["MLP with norm"]),
    (ipr_histogram.compute, [SPECTRA], ["MLP with norm"]),
    (grokking.compute, [SPECTRA], ["MLP with norm"]),
    (measures.mean_ipr, [SPECTRA], ["MLP with norm"]),
    (lambda run: probes.halves(run.model, 0.5), ["probes.unit_halves"], []),
    (
        lambda run: norm_curves.compute([run]),
        ["analyses.training_curves"],
        ["embedding MLP", "deep MLP", "MLP with norm"],
    ),
    (norm_gain.compute, [SPECTRA], ["embedding MLP", "deep MLP", "MLP with norm"]),
    (
        of_model(probes.model_gamma_ipr, "addition"),
        [SPECTRA],
        ["embedding MLP", "deep MLP", "MLP with norm"],
    ),
    (
        lambda run: probes.logit_parts(run.model, run.dataset.tokens, low=0.2, high=0.5),
        [ATTRIBUTION, "analyses.corrupted_logits"],
        ["deep MLP", "MLP with norm"],
    ),
    (of_model(needed_norm.least_scaled_norm, 1.0), ["matched_norm"], ["embedding MLP", "deep MLP"]),
]


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(("ask", "instead", "takes"), REFUSALS)
def test_a_refusal_names_what_answers(
    ask: Callable[[gi.Run], Any], instead: list[str], takes: list[str], runs: dict[str, gi.Run]
) -> None:
    for name in MODELS.keys() - takes:
        with pytest.raises((TypeError, ValueError)) as caught:
            ask(runs[name])
        said = str(caught.value)
        assert all(word in said for word in instead), (name, said)
        for package, thing in re.findall(r"\b(probes|gi|analyses)\.(\w+)", said):
            assert hasattr({"probes": probes, "gi": gi, "analyses": analyses}[package], thing)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_named_takes_the_network(name: str, runs: dict[str, gi.Run]) -> None:
    run = runs[name]
    for spectrum in probes.model_neuron_spectra(run.model, "addition").values():
        assert spectrum.share.shape in ((16,), (8,))
    assert probes.weight_norms(run.model)
    with run.model.hooks(fwd_hooks=gi.ablate([0, 1])):
        scores = probes.subset_scores(run.model, run.dataset)
    assert scores["train"]["loss"] != probes.subset_scores(run.model, run.dataset)["train"]["loss"]
    if name == "LSTM":
        with pytest.raises(TypeError, match=r"Use gi\.ablate\(units, layer=\.\.\.\)"):
            probes.logit_attribution(run.model, run.dataset.tokens, run.dataset.labels)
    else:
        probes.logit_attribution(run.model, run.dataset.tokens, run.dataset.labels)


ONE_RUN = [
    analyses.grokking.compute,
    analyses.phases.classify,
    analyses.progress_measures.compute,
    analyses.pruning.compute,
    analyses.solution_form.compute,
    analyses.spectral_surgery.compute,
    analyses.summary.summarise,
    analyses.training_curves.compute,
    analyses.units_by_frequency.compute,
    analyses.weight_norms.compute,
]
SEVERAL = [
    analyses.corrupted_logits.compute,
    analyses.hypothesis.compute,
    analyses.ipr_histogram.compute,
    analyses.phases.compute,
]


@pytest.mark.parametrize("analysis", [*ONE_RUN, *SEVERAL], ids=lambda a: a.__module__)
@pytest.mark.usefixtures("no_type_checker")
def test_a_network_is_not_a_run(analysis: Callable[[Any], Any], tiny_run: gi.Run) -> None:
    name = "run" if analysis in ONE_RUN else "runs"
    with pytest.raises(TypeError, match=rf"^{name} must be what gi.train .* the network HookedMLP"):
        analysis(tiny_run.model)
    if analysis in SEVERAL:
        with pytest.raises(TypeError, match=r"^runs must be .* got the network HookedMLP"):
            analysis([tiny_run, tiny_run.model])
        with pytest.raises(ValueError, match="runs is empty"):
            analysis([])


@pytest.mark.parametrize("given", ["a run", "mine.zarr"])
@pytest.mark.usefixtures("no_type_checker")
def test_a_run_or_a_store_is_not_a_sweep(given: Any, tiny_run: gi.Run) -> None:
    with pytest.raises(TypeError, match=r"^sweep must be the dataset .*; gi\.open_sweep reads it"):
        analyses.sweep_phases.compute(tiny_run if given == "a run" else given)


@pytest.mark.usefixtures("no_type_checker")
def test_a_network_has_no_report(tiny_run: gi.Run, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^run must be what gi.train .* the network HookedMLP"):
        write_report(tiny_run.model, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("probe", [probes.model_neuron_ipr, probes.model_table_spectra])
@pytest.mark.usefixtures("no_type_checker")
def test_a_run_is_not_a_network(probe: Callable[[Any], Any], tiny_run: gi.Run) -> None:
    with pytest.raises(TypeError, match=r"Of a Run give the network in it, .model"):
        probe(tiny_run)
