"""Hypothesis 2.2 of Doshi et al. 2023 (arXiv:2310.13061), put to the test on any network.

It says that a network that generalises on modular addition (I) maps the numbers onto periodic
features and (II) does trigonometry on these. A network is asked for nine things::

    generalises           accuracy on the test set at least ``threshold``
    periodic first map    row-wise or total IPR of the embedding, or IPR of the first layer's
                          neurons as functions of one operand, above that of every shuffle of the
                          residues, by at least FIRST_MAP_FROM of what is left to 1
    trigonometric logits  cos and sin of 2 pi k (a + b - c) / p, over all k, have at least
                          LOGITS_FROM of the logits' variance
    key alone suffices    logits as functions of a + b at the key frequencies: accuracy stays
    key is needed         logits without these: accuracy falls
    periodic neurons      in at least one layer the median share that a neuron's best frequency has
                          is above that of every shuffle, by at least NEURONS_FROM of what is left
                          to 1
    embedding: only key   only the key frequencies in the embedding: accuracy stays
    embedding: no key     without them: accuracy falls
    embedding: no others  without as many random other frequencies: accuracy stays, on average

FIRST_MAP_FROM, LOGITS_FROM, NEURONS_FROM, STAYS_FROM and FALLS_TO are numbers of
:mod:`analyses.hypothesis.verdict`. Accuracy stays if at least STAYS_FROM of what it is above chance
(1 / p) is left, and falls if at most FALLS_TO is. A network that does not generalise is
"not applicable"; one that does is "supported" if it has all the rest, else "not supported". What is
asked of the logits is necessary but not enough: right answers are a function of a + b - c, so a
table of them has it, too. What a table does not have is a periodic way there.

The key frequencies are two sets. Those of the logits are :func:`probes.key_frequencies`. Those of
the embedding are its dominant ones, too, which in a ReLU network are more, because it carries
harmonics; see :func:`analyses.hypothesis.filter.chosen_frequencies`. The more of all frequencies
these are, the less the last three say: look at ``n_kept``. For subtraction, multiplication and
division all of this is meant in the task's own basis (:func:`probes.task_basis`).
"""

import json
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
from analyses.hypothesis.figures import plot_spectra, plot_verdicts, table, verdict_line
from analyses.hypothesis.filter import chosen_frequencies, filtered_logits, random_frequencies
from analyses.hypothesis.verdict import with_verdict
from analyses.pages.finding import Finding
from analyses.statistics.thresholds import GENERALISED_FROM
from grokinterp import Run, build_model
from grokinterp.bars import each
from grokinterp.checks import check_int, check_number
from grokinterp.data import Dataset
from grokinterp.session import unaffected
from grokinterp.tasks import Operation
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

    Accuracy is against the true labels: on "train", the training pairs whose given label is true,
    on "test", on "all", which is both, and apart from them on "changed", the training pairs with a
    wrong label. Pairs with a residue that has no place in the basis (0 in multiplication and
    division) do not count.

    Args:
        runs: of any architecture that has an embedding ``W_E``; their p may differ.
        frequencies: key frequencies of logits and embedding, harmonics included, in cycles per
            period; by default each network's own, see above.
        random_draws: shuffles of the residues, and sets of random frequencies.
        threshold: accuracy from which a network generalises.
        seed: of the draws.
        progress: show bars; a network of the papers' size takes about a minute.

    Returns:
        Dataset over "run" (coordinates architecture, operation, p, train_fraction, corruption,
        weight_decay, steps, seed, data_seed, and setting: the config without seeds), NaN or ""
        where something is unknown:

        - ``verdict``, ``reason``, ``judged_on`` and ``n_judged``, how many pairs these are;
          ``passed`` (run, ingredient), 1 or 0; ``near`` (run, ingredient), 1 where it was near to
          passing or failing; ``borderline``, whether the verdict hangs on that;
        - ``accuracy`` (run, condition, subset): of the network ("full"), of its logits restricted
          to the key frequencies or without them ("restricted", "excluded"), and with the embedding
          filtered ("only_key", "without_key", "without_random", a mean whose draws are in
          ``random_accuracy``); ``memorised`` (run, condition): changed pairs that get their wrong
          label; ``loss`` (run, condition) on ``judged_on``, of the kind in the coordinate
          ``loss_kind``;
        - ``periodicity`` (run, measure, of): of the embedding the mean IPR of its features
          ("row_ipr"), total IPR, and the share of its variance in the logits' key frequencies
          ("key_share"); of the first layer's neurons, averaged over the other operand, the mean IPR
          ("feature_ipr"). "of" is the network, the untrained one, mean, least and largest over
          shuffles, or the expectation for noise. ``n_features`` and ``n_dead_features``, those that
          are in no mean (:mod:`probes.alive`);
        - ``neuron_share`` (run, layer, of): median over living neurons of the share of their best
          frequency; ``n_neurons``, ``n_dead_neurons`` and ``hook`` (run, layer);
        - ``logit_explained``, its expectation ``logit_chance`` for random logits and its mean
          ``logit_shuffled`` over shuffles; ``logit_key_share``;
        - ``embedding_share``, ``logit_share``, ``is_key`` and ``kept_share``, the share of the
          embedding's living features that keep a frequency (run, frequency); ``n_kept``, the mean
          number of frequencies that one keeps.

    Raises:
        ValueError: no runs, a task without a periodic basis, or frequencies that do not exist.
    """
    runs = [runs] if isinstance(runs, Run) else list(runs)
    if not runs:
        raise ValueError("runs is empty; give at least one run")
    options: dict[str, Any] = {
        "frequencies": None if frequencies is None else list(frequencies),
        "random_draws": random_draws, "threshold": threshold, "seed": seed, "progress": progress,
    }  # fmt: skip
    parts = []
    for run in each(runs, "networks", wanted=progress and len(runs) > 1):
        data, training = run.config.data, run.config.training
        part = compute_model(
            run.model, data.operation, dataset=run.dataset, untrained=build_model(run.config),
            loss=training.loss, **options,
        )  # fmt: skip
        known = {
            "train_fraction": data.train_fraction, "corruption": data.corruption,
            "weight_decay": training.weight_decay, "steps": training.steps,
            "seed": run.config.seed, "data_seed": data.seed,
        }  # fmt: skip
        setting = run.config.replace({"seed": 0, "data.seed": 0}).to_dict()
        part = part.assign_coords({name: ("run", [float(v)]) for name, v in known.items()})
        parts.append(part.assign_coords(setting=("run", [json.dumps(setting, sort_keys=True)])))
    return join(parts)


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
    """The verdict on a network by itself, such as a checkpoint made elsewhere.

    Args:
        model: a network of ``grokinterp.models``, or a :func:`probes.network_on_pairs` of another.
        operation: the task.
        dataset: what it was trained on. Without it all pairs are judged together, so that a network
            that memorised nearly all of them cannot be told from one that generalises.
        untrained: the network before training, as a control.
        name: in tables and figures; by default the kind and size of the network.
        loss: "cross_entropy", "mse" or "mse_softmax".
        frequencies: see :func:`compute`, as for the rest.
        random_draws: see there.
        threshold: see there.
        seed: see there.
        progress: see there.

    Returns:
        :func:`compute`'s dataset with one run.

    Raises:
        TypeError: the model lacks what probes need, an embedding ``W_E`` among it.
    """
    check_int("random_draws", random_draws, minimum=1)
    check_number("threshold", threshold, minimum=0.0)
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
    draws = [filtered_logits(question, other, keep=False)
             for other in each(others, "random frequencies", wanted=progress)]  # fmt: skip

    def scores(of: torch.Tensor) -> list[float]:
        return [*question.accuracies(of), question.memorised(of), question.loss(of, loss)]

    at_random = np.array([scores(one) for one in draws])
    scored = np.array([*(scores(answers[c]) for c in CONDITIONS[:-1]), at_random.mean(axis=0)])
    kept = torch.cat(list(chosen.values()), dim=1).double()[:, ~embedding.is_dead]
    is_key = torch.isin(basis.frequencies, torch.tensor(key, dtype=torch.int64))
    key_share = spectrum.shares[is_key].sum()
    shuffled = [logit_spectrum(logits, other).explained for other in question.shuffles]

    per_layer = ("run", "layer")
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
            "neuron_share": (
                ("run", "layer", "of"),
                np.array([[[layer.numbers[of] for of in OF] for layer in neurons]]).reshape(
                    1, len(neurons), len(OF)
                ),
            ),
            "n_neurons": (per_layer, [[float(layer.n_neurons) for layer in neurons]]),
            "n_dead_neurons": (per_layer, [[float(layer.n_dead) for layer in neurons]]),
            "hook": (per_layer, np.array([[layer.hook for layer in neurons]], dtype=str)),
            "logit_explained": ("run", [spectrum.explained]),
            "logit_chance": ("run", [basis.period**-2.0]),
            "logit_shuffled": ("run", [np.mean(shuffled)]),
            "logit_key_share": ("run", [float(key_share)]),
            "embedding_share": (("run", "frequency"), embedding.shares[None].numpy()),
            "logit_share": (("run", "frequency"), spectrum.shares[None].numpy()),
            "is_key": (("run", "frequency"), is_key.double()[None].numpy()),
            "kept_share": (("run", "frequency"), kept.mean(dim=1)[None].numpy()),
            "n_kept": ("run", [float(kept.sum(dim=0).mean())]),
        },
        coords={
            "architecture": ("run", [name or network.anatomy.description]),
            "operation": ("run", [basis.operation]),
            "p": ("run", [basis.p]),
            **{unknown: ("run", [np.nan]) for unknown in (
                "train_fraction", "corruption", "weight_decay", "steps", "seed", "data_seed"
            )},
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
    )  # fmt: skip
    return with_verdict(data, threshold)


def join(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Several datasets of :func:`compute` and :func:`compute_model` as one, run after run.

    Frequencies and layers that a network does not have are NaN, and their names "".

    Raises:
        ValueError: they were computed with different thresholds.
    """
    if len(thresholds := {float(part.attrs["threshold"]) for part in parts}) != 1:
        raise ValueError(f"parts must share one threshold, got {sorted(thresholds)}")
    fill: dict[Any, Any] = {
        name: "" if variable.dtype.kind in "UTO" else np.nan
        for name, variable in parts[0].variables.items()
    }
    return xr.concat(
        parts, "run", data_vars="all", coords="different", compat="equals", join="outer",
        fill_value=fill, combine_attrs="override",
    )  # fmt: skip


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs, progress=True)
    figures = [plot_verdicts(data), plot_spectra(data)]
    return Finding(data=data, figures=figures, rows=[verdict_line(row) for row in table(data)])
