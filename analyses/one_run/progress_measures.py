"""Progress measures over training (Nanda et al. 2023, section 5.1), for any architecture.

At every stored step of a run: what the key frequencies of the logits do alone (restricted loss) and
what the rest does without them (excluded loss), how much of the logits is trigonometry, how
periodic neurons and embeddings are, and how large the weights are. Networks are stored by
checkpoints::

    from analyses.one_run.stored_networks import checkpoints_at

    run = gi.train(config, checkpoints=checkpoints_at(range(0, 1000, 50)))
    data = progress_measures.compute(run)

How selectively memorisation and generalisation can be removed takes longer and is asked for:
``measures=`` of :mod:`analyses.dissociation.over_training`.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import progress_measures
    >>> from analyses.one_run.stored_networks import checkpoints_at
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "model.d_mlp": 100}
    >>> changes |= {"training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes), checkpoints=checkpoints_at([50, 100]))
    >>> data = progress_measures.compute(run)
    >>> data.step.values.tolist()
    [0, 50, 100, 200]
    >>> full, restricted, excluded = data.loss.sel(step=200, subset="test").values
    >>> bool(restricted < full < excluded)  # the key frequencies alone do better
    True
    >>> figure = progress_measures.plot_progress(data)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import torch
import typer
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from analyses.dissociation import over_training
from analyses.one_run.progress_figure import plot_progress
from analyses.one_run.stored_networks import stored_networks
from analyses.pages.finding import Finding
from analyses.runs_given import check_run
from grokinterp import Run
from grokinterp.checks import check_choice
from grokinterp.data import SUBSETS, Dataset
from grokinterp.losses import LOSSES
from grokinterp.models.read_out import Bias, Neurons
from grokinterp.session import unaffected
from grokinterp.short_text import short
from grokinterp.tasks import Operation
from probes import (
    Basis,
    LogitSpectrum,
    NetworkOnPairs,
    TableSpectrum,
    frequency_scores,
    gini,
    ipr,
    key_frequencies,
    logit_spectrum,
    network_on_pairs,
    neuron_spectrum,
    norms_by_layer,
    table_spectrum,
)
from probes.alive import only_living
from probes.neuron_weights import has_neuron_weights
from probes.unit_pruning import REMOVALS

Measure = Callable[[Any, Dataset], float]  # of a hooked network and the run's data set

VARIANTS = ("full", "restricted", "excluded")  # all of the logits, key frequencies, the rest
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def compute(
    run: Run,
    *,
    frequencies: Sequence[int] | None = None,
    follow: bool = False,
    measures: Mapping[str, Measure] | None = None,
) -> xr.Dataset:
    """All progress measures of a run, at every stored step.

    Args:
        run: of any architecture, on a task with a periodic basis. Its stored steps are the initial
            network, its checkpoints and the final network.
        frequencies: as in :func:`of_networks`.
        follow: as in :func:`of_networks`.
        measures: as in :func:`of_networks`.

    Returns:
        The dataset of :func:`of_networks`, with the loss that the run was trained with.

    Raises:
        TypeError, ValueError: as :func:`of_networks`.
    """
    check_run(run)
    return of_networks(
        [(stored.step, stored.model) for stored in stored_networks(run)],
        run.dataset,
        operation=run.config.data.operation,
        loss=run.config.training.loss,
        frequencies=frequencies,
        follow=follow,
        measures=measures,
    )


@unaffected()
def of_networks(
    networks: Sequence[tuple[int, Any]],
    dataset: Dataset,
    *,
    operation: Operation | None = None,
    loss: str = "cross_entropy",
    frequencies: Sequence[int] | None = None,
    follow: bool = False,
    measures: Mapping[str, Measure] | None = None,
) -> xr.Dataset:
    """All progress measures of the networks of one training, also one that was done elsewhere.

    For example, of a stored training of Nanda et al.::

        snapshots = gi.load_nanda2023(path)
        data = of_networks(list(snapshots.models(every=10)), dataset)

    Args:
        networks: each step and its hooked network, in increasing order of steps.
        dataset: what they were trained on.
        operation: the task; by default the one that the networks were built for.
        loss: "mse", "cross_entropy" or "mse_softmax".
        frequencies: key frequencies at every step; by default those of the last network, chosen by
            :func:`probes.key_frequencies`.
        follow: use at each step the key frequencies of that step instead.
        measures: further numbers, each a function of the hooked network and the data set.

    Returns:
        Dataset:

        - (step, variant, subset): ``loss`` and ``accuracy`` of all of the logits ("full"), of the
          constant and the key frequencies' cos and sin of w (a + b) alone ("restricted"), and of
          the logits without these ("excluded"), against the labels given in training. Pairs that
          have no place in the task's basis are left out.
        - (step, frequency): ``share`` of the logits' variance in cos and sin of w (a + b - c), and
          ``is_key``, whether the frequency is used as a key frequency at that step.
        - (step): ``explained``, the share of all frequencies; ``explained_by_key``; ``n_key``, the
          number of frequencies that would be key frequencies of that step's network.
        - (step, neurons): ``periodicity``, the mean over living neurons, and ``n_dead``;
          (step, neurons, quantile): ``periodicity_quantile``. "neurons" names what is measured:
          "IPR ..." of weight vectors over residues, "share ..." of the activations' variance over
          all pairs at each neuron's best frequency.
        - (step, table): ``gini`` of the amplitudes of a table's frequencies, cos and sin together:
          0 if all are equal; ``total_ipr``, 1 for one frequency. A table is an embedding or the
          read-out.
        - (step, layer): ``norm`` of each layer's parameters; (step): ``total_norm``.
        - (step, name): ``measure``, the further numbers.

        Attributes: ``loss``, and ``key_frequencies``: "given", "final" or "followed".

    Raises:
        TypeError: a measure is no function, or the task is not known.
        ValueError: no network, steps that do not increase, both ``frequencies`` and ``follow``, a
            frequency that the task does not have, another modulus than the data set's, or a task
            without a periodic basis.

    Source: Nanda et al. 2023, arXiv:2301.05217, sections 5.1 and 5.2.
    """
    if frequencies is not None and follow:
        raise ValueError("frequencies are given, so follow=True has no effect; leave one out")
    check_choice("loss", loss, LOSSES)
    more = dict(measures or {})
    for name, measure in more.items():
        if not callable(measure):
            raise TypeError(f"measures[{name!r}] must be a function of a network and its data set")
    steps = [step for step, _ in networks]
    if not steps or sorted(set(steps)) != steps:
        raise ValueError(
            f"networks must hold at least one network, at increasing steps, got {short(steps)}; "
            "a run stores them with checkpoints=checkpoints_at(...)"
        )
    last = network_on_pairs(networks[-1][1])
    if last.p != dataset.p:
        raise ValueError(f"the networks have p={last.p}, but the data set has p={dataset.p}")
    basis = last.basis(operation)
    fixed = None if frequencies is None else basis.check_frequencies(frequencies)
    if fixed is None and not follow:
        fixed = _keys(logit_spectrum(last.logits(), basis))
    rows = []
    for _, model in networks:
        network = network_on_pairs(model)
        logits = network.logits()
        spectrum = logit_spectrum(logits, basis)
        own = _keys(spectrum)
        keys = own if fixed is None else fixed
        rows.append(
            xr.merge(
                [
                    _scores(logits, dataset, basis, keys, loss),
                    _shares(spectrum, keys).assign(n_key=len(own)),
                    _weights_and_neurons(network, basis),
                    xr.Dataset(
                        {"measure": ("name", [float(f(model, dataset)) for f in more.values()])},
                        coords={"name": list(more)},
                    ),
                ]
            )
        )
    data = xr.concat(rows, dim="step", join="exact").assign_coords(step=steps)
    data["step"].attrs["units"] = "updates"
    kind = "followed" if follow else "given" if frequencies is not None else "final"
    return data.assign_attrs(loss=loss, key_frequencies=kind)


def _keys(spectrum: LogitSpectrum) -> list[int]:
    """Key frequencies; none where the logits do not depend on the class."""
    return [] if spectrum.shares.isnan().any() else key_frequencies(spectrum)


def _scores(
    logits: Float[Tensor, "pair p"], dataset: Dataset, basis: Basis, keys: Sequence[int], kind: str
) -> xr.Dataset:
    """Loss and accuracy of all of the logits, the restricted and the excluded ones."""
    scores = [
        frequency_scores(logits, dataset.labels, basis, keys, mask=dataset.masks[subset], kind=kind)
        for subset in SUBSETS
    ]
    axes = ("variant", "subset")
    return xr.Dataset(
        {
            "loss": (axes, [[score.loss[v] for score in scores] for v in VARIANTS]),
            "accuracy": (axes, [[score.accuracy[v] for score in scores] for v in VARIANTS]),
        },
        coords={"variant": list(VARIANTS), "subset": list(SUBSETS)},
    )


def _shares(spectrum: LogitSpectrum, keys: Sequence[int]) -> xr.Dataset:
    """How much of the logits is trigonometry, in all and at the key frequencies."""
    is_key = torch.isin(spectrum.frequencies, torch.tensor(keys, dtype=torch.int64))
    return xr.Dataset(
        {
            "share": ("frequency", spectrum.shares),
            "is_key": ("frequency", is_key),
            "explained": spectrum.explained,
            "explained_by_key": float(spectrum.shares[is_key].sum()),
        },
        coords={"frequency": spectrum.frequencies},
    )


def _weights_and_neurons(network: NetworkOnPairs, basis: Basis) -> xr.Dataset:
    """Periodicity of neurons and tables, and norms."""
    neurons, tables = _neurons(network, basis), _tables(network, basis)
    norms = norms_by_layer(network.model)
    living = [values[~values.isnan()] for values in neurons.values()]
    levels = torch.tensor(QUANTILES, dtype=torch.float64)
    quantiles = torch.full((len(living), len(levels)), torch.nan, dtype=torch.float64)
    for i, values in enumerate(living):
        if len(values):
            quantiles[i] = values.quantile(levels)
    return xr.Dataset(
        {
            "periodicity": ("neurons", [float(values.mean()) for values in living]),
            "n_dead": ("neurons", [int(values.isnan().sum()) for values in neurons.values()]),
            "periodicity_quantile": (("neurons", "quantile"), quantiles),
            "gini": ("table", [float(gini(s.shares.sqrt())) for s in tables.values()]),
            "total_ipr": ("table", [s.total_ipr for s in tables.values()]),
            "norm": ("layer", list(norms.values())),
            "total_norm": math.hypot(*norms.values()),
        },
        coords={
            "neurons": list(neurons),
            "quantile": list(QUANTILES),
            "table": list(tables),
            "layer": list(norms),
        },
    )


def _neurons(network: NetworkOnPairs, basis: Basis) -> dict[str, Float[Tensor, " n"]]:
    """Every periodicity that this network's neurons have; NaN for a dead neuron."""
    rows = {"input": network.anatomy.input_weights, "output": _output_weights(network)}
    iprs = {
        f"IPR of {name} weights": [
            ipr(only_living(table.detach().double().cpu()[basis.order].T)) for table in tables
        ]
        for name, tables in rows.items()
        if tables
    }
    if iprs and has_neuron_weights(network.model):  # one neuron has all three
        iprs = {"IPR of U, V, W": [x for vectors in iprs.values() for x in vectors]}
    found = {name: torch.stack(vectors).mean(dim=0) for name, vectors in iprs.items()}
    for hook in network.neuron_hooks:
        found[f"share, {hook}"] = neuron_spectrum(network.neurons(hook), basis).share
    return found


def _output_weights(network: NetworkOnPairs) -> list[Float[Tensor, "p neuron"]]:
    """The read-out's weights, if what it reads are neurons."""
    parts = [part for part in network.anatomy.direct_path if not isinstance(part, Bias)]
    reads_neurons = len(parts) == 1 and isinstance(parts[0], Neurons) and parts[0].weight is None
    W_U = network.unembedding
    return [W_U.T] if reads_neurons and W_U is not None else []


def _tables(network: NetworkOnPairs, basis: Basis) -> dict[str, TableSpectrum]:
    """Spectra of the embeddings and the read-out, where the network has them."""
    tables = dict(network.embeddings) if network.anatomy.input_tables else {}
    if network.unembedding is not None:
        tables["W_U"] = network.unembedding.T
    return {name: table_spectrum(table, basis) for name, table in tables.items()}


def analysis(
    run: Run,
    follow: Annotated[
        bool, typer.Option("--follow", help="key frequencies of each step, not of the last")
    ] = False,
    selectivity: Annotated[
        list[str] | None,
        typer.Option(
            help="units, such as neurons.0, whose S_mem and S_gen to measure, too; takes up to "
            f"{2 * (REMOVALS + 3)} forward passes for each stored step"
        ),
    ] = None,
) -> Finding:
    """The page of ``grokinterp analyse``."""
    more = over_training.measures(*selectivity) if selectivity else None
    data = compute(run, follow=follow, measures=more)
    last = data.isel(step=-1)
    keys = last.frequency.values[last.is_key.values].tolist()
    rows = [
        f"{data.sizes['step']} stored steps, {int(data.step[0])} to {int(data.step[-1])}; for more "
        "train with --checkpoints N",
        f"key frequencies at the end: {', '.join(map(str, keys)) or 'none'}",
    ]
    sentence = (
        "A circuit that generalises forms where the restricted loss falls and the excluded loss "
        "rises on the training set, often long before the test accuracy."
    )
    return Finding(data=data, figures=[plot_progress(data)], rows=rows, sentences=[sentence])
