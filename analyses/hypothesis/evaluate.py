"""Hypothesis 2.2 of Doshi et al. 2023 (arXiv:2310.13061), tested on any network.

The hypothesis: a network that generalises on modular addition (I) maps the residues to periodic
features and (II) computes the answer from them with trigonometric identities. It predicts nine
properties, here called ingredients::

    generalises           test accuracy at least ``threshold``
    periodic first map    row-wise IPR of the embedding, its total IPR, or the IPR of the first
                          layer's neurons as functions of one operand: larger than for every
                          shuffle of the residues, closing at least 5 % of the gap between the
                          shuffled mean and 1
    trigonometric logits  cos and sin of 2 pi k (a + b - c) / p, over all k, explain at least 25 %
                          of the logits' variance
    key alone suffices    the logits projected on functions of a + b at the key frequencies: the
                          accuracy is kept
    key is needed         the logits without that projection: the accuracy is lost
    periodic neurons      in some layer, the median over neurons of the variance share of the best
                          frequency: larger than for every shuffle, closing at least 10 % of the gap
                          between the shuffled mean and 1
    embedding: only key   only the key frequencies in the embedding: the accuracy is kept
    embedding: no key     the embedding without the key frequencies: the accuracy is lost
    embedding: no others  the embedding without as many random other frequencies: the accuracy is
                          kept, on average over draws

With excess = accuracy - 1 / p, accuracy above chance, an accuracy is kept if at least 90 % of the
network's excess remains, and lost if at most 50 % remains. The bounds are constants of
:mod:`analyses.hypothesis.verdict`. The verdict is "not applicable" if the network does not
generalise; "supported" if it has all other ingredients, too; otherwise "not supported". Correct
logits depend only on a + b - c, so a lookup table also passes the three tests on logits. It fails
those on neurons and embedding.

Key frequencies are chosen separately for the logits (:func:`probes.key_frequencies`) and for the
embedding (:func:`analyses.hypothesis.filter.chosen_frequencies`). A ReLU network has more of them
in the embedding, because of harmonics. The more of all frequencies are key frequencies, the weaker
are the last three tests: see ``n_kept``. For subtraction, multiplication and division, residues are
taken in the order of the task's own basis (:func:`probes.task_basis`).

Examples:
    >>> import grokinterp as gi
    >>> from analyses import hypothesis
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = hypothesis.compute([run], random_draws=3)
    >>> data.verdict.values.tolist()
    ['supported']
"""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from analyses.hypothesis.evidence import (
    CONDITIONS,
    OF,
    PERIODICITIES,
    SUBSETS,
    Question,
    find_key_frequencies,
    first_map,
    layers,
    projected_logits,
)
from analyses.hypothesis.figures import (
    VERDICTS_CAPTION,
    plot_spectra,
    plot_verdicts,
    table,
    verdict_line,
)
from analyses.hypothesis.filter import chosen_frequencies, filtered_logits, random_frequencies
from analyses.hypothesis.verdict import with_verdict
from analyses.pages.finding import Finding
from analyses.runs_given import runs_of
from analyses.statistics.thresholds import GENERALISED_FROM
from grokinterp import Run, build_model
from grokinterp.bars import each
from grokinterp.basis import plain_integers
from grokinterp.checks import check_int, check_number
from grokinterp.config import field_value
from grokinterp.data import Dataset
from grokinterp.session import unaffected
from grokinterp.tasks import Operation
from grokinterp.training.as_run import OutsideRun
from probes import logit_spectrum, network_on_pairs


def compute(
    runs: Run | Sequence[Run],
    *,
    frequencies: Iterable[int] | None = None,
    random_draws: int = 20,
    threshold: float = GENERALISED_FROM,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """The verdict on one or several runs, and every number behind it.

    Accuracies are against the true labels. Subsets: "train", the training pairs with a true label;
    "test"; "all", both together; "changed", the training pairs with a wrong label. Pairs with a
    residue outside the basis (0 in multiplication and division) are left out.

    Args:
        runs: of any architectures with an embedding ``W_E``; their p may differ.
        frequencies: key frequencies of logits and embedding, harmonics included, in cycles per
            period; by default each network's own.
        random_draws: number of shuffles of the residues, and of sets of random frequencies.
        threshold: test accuracy from which a network counts as generalising.
        seed: of the draws.
        progress: show progress bars; a network of the paper's size takes about a minute.

    Returns:
        Dataset over "run", with NaN or "" where something is unknown:

        - Verdict: ``verdict`` and ``reason``; ``judged_on``, the subset whose accuracy decides, and
          ``n_judged``, its number of pairs; ``passed`` (run, ingredient), 1 or 0; ``near`` (run,
          ingredient), 1 if the value is close to its bound; ``borderline``, whether the verdict
          would differ if those values fell on the other side.
        - Accuracy: ``accuracy`` (run, condition, subset). Conditions: "full", the network;
          "restricted" and "excluded", its logits projected on the key frequencies and without
          that projection; "only_key", "without_key" and "without_random", with the embedding
          filtered. The last is a mean over draws, which are in ``random_accuracy`` (run, draw,
          subset). ``memorised`` (run, condition): share of changed pairs answered with their wrong
          label. ``loss`` (run, condition): on ``judged_on``, of the kind ``loss_kind``.
        - First map: ``periodicity`` (run, measure, of). Measures: "row_ipr", mean IPR of the
          embedding's features; "total_ipr"; "key_share", share of its variance in the logits' key
          frequencies; "feature_ipr", mean IPR of the first layer's neurons, averaged over the
          other operand. "of": the network; the untrained one; mean, smallest and largest over
          shuffles; expectation for noise. ``n_features``; ``n_dead_features``, which are in no mean
          (:mod:`probes.alive`).
        - Neurons: ``neuron_share`` (run, layer, of), median over living neurons of the variance
          share of the best frequency; ``n_neurons``, ``n_dead_neurons`` and ``hook`` (run, layer).
        - Logits: ``logit_explained``, share of variance explained by trigonometric functions;
          ``logit_chance``, its expectation for random logits; ``logit_shuffled``, its mean over
          shuffles; ``logit_key_share``, the share at the key frequencies.
        - Spectra (run, frequency): ``embedding_share`` and ``logit_share`` of the variance;
          ``is_key``, whether it is a key frequency of the logits; ``kept_share``, the share of the
          embedding's living features that keep it. ``n_kept``: mean number of frequencies that a
          feature keeps.

        Coordinates: architecture, operation, p, train_fraction, corruption, weight_decay, steps,
        seed, data_seed, and setting, the config without seeds as JSON.

    Raises:
        ValueError: no run, a task without a periodic basis, or frequencies that do not exist.
    """
    runs = runs_of(runs)
    options: dict[str, Any] = {"random_draws": random_draws, "threshold": threshold, "seed": seed}
    options |= {"frequencies": None if frequencies is None else plain_integers(frequencies)}
    parts = []
    for run in each(runs, "networks", wanted=progress and len(runs) > 1):
        part = compute_model(
            run.model,
            run.config.data.operation,
            dataset=run.dataset,
            untrained=None if isinstance(run, OutsideRun) else build_model(run.config),
            loss=run.config.training.loss,
            progress=progress,
            **options,
        )
        known = {name: field_value(run.config, path) for name, path in _FIELDS.items()}
        if isinstance(run, OutsideRun):
            known |= dict.fromkeys(_OF_TRAINING, math.nan)
        setting = run.config.replace({"seed": 0, "data.seed": 0}).to_dict()
        part = part.assign_coords({name: ("run", [float(v)]) for name, v in known.items()})
        parts.append(part.assign_coords(setting=("run", [json.dumps(setting, sort_keys=True)])))
    return join(parts)


# Coordinates that only a run's config knows, by their dotted paths.
_FIELDS = {
    "train_fraction": "data.train_fraction",
    "corruption": "data.corruption",
    "weight_decay": "training.weight_decay",
    "steps": "training.steps",
    "seed": "seed",
    "data_seed": "data.seed",
}
_OF_TRAINING = ("weight_decay", "steps", "seed", "data_seed")  # unknown of networks from elsewhere


@unaffected()
def compute_model(
    model: Any,
    operation: Operation,
    *,
    dataset: Dataset | None = None,
    untrained: Any | None = None,
    name: str | None = None,
    loss: str = "cross_entropy",
    frequencies: Iterable[int] | None = None,
    random_draws: int = 20,
    threshold: float = GENERALISED_FROM,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """The verdict on a network without a run, such as a checkpoint trained elsewhere.

    Args:
        model: a network of ``grokinterp.models``, or a :func:`probes.network_on_pairs` of any
            other.
        operation: the task.
        dataset: on which it was trained. Without it, the accuracy on all pairs decides, which does
            not distinguish a network that memorised nearly all of them from one that generalises.
        untrained: the network before training, as a control.
        name: in tables and figures; by default the kind and size of the network.
        loss: "cross_entropy", "mse" or "mse_softmax".
        frequencies: this argument and the following are those of :func:`compute`.
        random_draws: see :func:`compute`.
        threshold: see :func:`compute`.
        seed: see :func:`compute`.
        progress: see :func:`compute`.

    Returns:
        The dataset of :func:`compute`, with one run.

    Raises:
        TypeError: the model lacks something that probes need, such as an embedding ``W_E``.
    """
    check_int("random_draws", random_draws, minimum=1)
    check_number("threshold", threshold, minimum=0.0)
    if threshold > 1:
        raise ValueError(f"threshold must be an accuracy, 0..1, got {threshold}")
    question = Question(model, operation, dataset, draws=random_draws, seed=seed, progress=progress)
    basis, network = question.basis, question.network
    before = None if untrained is None else network_on_pairs(untrained)
    logits = network.logits()
    spectrum = logit_spectrum(logits, basis)
    given = None if frequencies is None else basis.check_frequencies(frequencies)
    key = find_key_frequencies(question, logits) if given is None else given

    embedding = first_map(question, key, before)
    neurons = list(layers(question, before))
    chosen = chosen_frequencies(question, given, key)
    answers = projected_logits(question, logits, key)
    answers["only_key"] = filtered_logits(question, chosen, keep=True)
    answers["without_key"] = filtered_logits(question, chosen, keep=False)
    others = list(random_frequencies(question, chosen))
    others = each(others, "random frequencies", wanted=progress)
    draws = [filtered_logits(question, other, keep=False) for other in others]

    def scores(of: torch.Tensor) -> list[float]:
        return [*question.accuracies(of), question.memorised(of), question.loss(of, loss)]

    at_random = np.array([scores(one) for one in draws])
    scored = np.array([*(scores(answers[c]) for c in CONDITIONS[:-1]), at_random.mean(axis=0)])
    kept = torch.cat(list(chosen.values()), dim=1).double()[:, ~embedding.is_dead]
    is_key = torch.isin(basis.frequencies, torch.tensor(key, dtype=torch.int64))
    key_share = spectrum.shares[is_key].sum()
    shuffled = [logit_spectrum(logits, other).explained for other in question.shuffles]
    per_layer, per_frequency = ("run", "layer"), ("run", "frequency")
    # A network without known neurons has no layer, but still an axis "of".
    neuron_shares = np.array([[layer.numbers[of] for of in OF] for layer in neurons])
    unknown = {name: ("run", [np.nan]) for name in _FIELDS}
    data = xr.Dataset(
        {
            "judged_on": ("run", [question.judged_on]),
            "n_judged": ("run", [int(question.masks[question.judged_on].sum())]),
            "accuracy": (("run", "condition", "subset"), scored[None, :, :-2]),
            "memorised": (("run", "condition"), scored[None, :, -2]),
            "loss": (("run", "condition"), scored[None, :, -1]),
            "random_accuracy": (("run", "draw", "subset"), at_random[None, :, :-2]),
            "periodicity": (
                ("run", "measure", "of"),
                [[[embedding.numbers[m][of] for of in OF] for m in PERIODICITIES]],
            ),
            "n_features": ("run", [len(embedding.is_dead)]),
            "n_dead_features": ("run", [int(embedding.is_dead.sum())]),
            "neuron_share": (("run", "layer", "of"), neuron_shares.reshape(1, -1, len(OF))),
            "n_neurons": (per_layer, [[float(layer.n_neurons) for layer in neurons]]),
            "n_dead_neurons": (per_layer, [[float(layer.n_dead) for layer in neurons]]),
            "hook": (per_layer, np.array([[layer.hook for layer in neurons]], dtype=str)),
            "logit_explained": ("run", [spectrum.explained]),
            "logit_chance": ("run", [basis.period**-2.0]),
            "logit_shuffled": ("run", [np.mean(shuffled)]),
            "logit_key_share": ("run", [float(key_share)]),
            "embedding_share": (per_frequency, embedding.shares[None].numpy()),
            "logit_share": (per_frequency, spectrum.shares[None].numpy()),
            "is_key": (per_frequency, is_key.double()[None].numpy()),
            "kept_share": (per_frequency, kept.mean(dim=1)[None].numpy()),
            "n_kept": ("run", [float(kept.sum(dim=0).mean())]),
        },
        coords={
            "architecture": ("run", [name or network.anatomy.description]),
            "operation": ("run", [basis.operation]),
            "p": ("run", [basis.p]),
            **unknown,
            "setting": ("run", [""]),
            "loss_kind": ("run", [loss]),
            "condition": list(CONDITIONS),
            "subset": list(SUBSETS),
            "measure": list(PERIODICITIES),
            "of": list(OF),
            "layer": np.arange(len(neurons)),
            "draw": np.arange(random_draws),
            "frequency": basis.frequencies.numpy(),
        },
        attrs={"threshold": threshold},
    )
    return with_verdict(data, threshold)


def join(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join datasets of :func:`compute` and :func:`compute_model` along "run".

    Values at frequencies and layers that a network does not have are NaN, and names "".

    Raises:
        ValueError: the datasets were computed with different thresholds.
    """
    if len(thresholds := {float(part.attrs["threshold"]) for part in parts}) != 1:
        raise ValueError(f"parts must share one threshold, got {sorted(thresholds)}")
    fill: dict[Any, Any] = {
        name: "" if variable.dtype.kind in "UTO" else np.nan
        for name, variable in parts[0].variables.items()
    }
    how: dict[str, Any] = {"data_vars": "all", "coords": "different", "compat": "equals"}
    how |= {"join": "outer", "fill_value": fill, "combine_attrs": "override"}
    return xr.concat(parts, "run", **how)


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs, progress=True)
    figures = [plot_verdicts(data), plot_spectra(data)]
    rows = [verdict_line(row) for row in table(data)]
    sentences = [
        VERDICTS_CAPTION,
        "A network that computes with few frequencies has few high bars, the same ones in the "
        "embedding and in the logits.",
    ]
    return Finding(data=data, figures=figures, rows=rows, sentences=sentences)
