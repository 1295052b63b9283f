"""Progress measures over training (Nanda et al. 2023, section 5.1), for any architecture.

At every stored step of a run: what the key frequencies of the logits do alone (restricted loss) and
what the rest does without them (excluded loss), how much of the logits is trigonometry, how
periodic neurons and embeddings are, and how large the weights are. Networks are stored by
checkpoints::

    from analyses.one_run.stored_networks import checkpoints_at

    run = gi.train(config, checkpoints=checkpoints_at(range(0, 1000, 50)))
    data = progress_measures.compute(run)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
import typer
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from analyses.one_run.progress_figure import plot_progress
from analyses.one_run.stored_networks import stored_networks, stored_steps
from analyses.pages.finding import Finding
from grokinterp import Run
from grokinterp.data import SUBSETS, Dataset
from grokinterp.models.read_out import Bias, Neurons
from grokinterp.session import unaffected
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
    model_neuron_spectra,
    network_on_pairs,
    norms_by_layer,
    table_spectrum,
)
from probes.alive import only_living
from probes.neuron_weights import has_neuron_weights

Measure = Callable[[Any, Dataset], float]  # of a hooked network and the run's data set

# Further measures, by name, that every call of ``compute`` takes.
MEASURES: dict[str, Measure] = {}
VARIANTS = ("full", "restricted", "excluded")  # all of the logits, key frequencies, the rest
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@unaffected()
def compute(
    run: Run,
    *,
    frequencies: Sequence[int] | None = None,
    follow: bool = False,
    measures: Mapping[str, Measure] | None = None,
) -> xr.Dataset:
    """All progress measures at every stored step.

    Args:
        run: of any architecture, on a task with a periodic basis. Its stored steps are the initial
            network, its checkpoints and the final network.
        frequencies: key frequencies at every step; by default those of the final stored network,
            chosen by :func:`probes.key_frequencies`.
        follow: use at each step the key frequencies of that step instead.
        measures: further numbers, each a function of the hooked network and the run's data set, in
            addition to ``MEASURES``.

    Returns:
        Dataset:

        - (step, variant, subset): ``loss`` (the one trained with) and ``accuracy`` of all of the
          logits ("full"), of the constant and the key frequencies' cos and sin of w (a + b) alone
          ("restricted"), and of the logits without these ("excluded"), against the labels given in
          training. Pairs that have no place in the task's basis are left out.
        - (step, frequency): ``share`` of the logits' variance in cos and sin of w (a + b - c), and
          ``is_key``, whether the frequency is used as a key frequency at that step.
        - (step): ``explained``, the share of all frequencies; ``explained_by_key``; ``n_key``, the
          number of frequencies that would be key frequencies of that step's network.
        - (step, neurons): ``periodicity``, the mean over living neurons, and ``n_dead``;
          (step, neurons, quantile): ``periodicity_quantile``. "neurons" names what is measured:
          "IPR ..." of weight vectors over residues, "share ..." of the activations' variance over
          all pairs at each neuron's best frequency.
        - (step, table): ``gini`` of the amplitudes of a table's frequencies, 0 if all are equal;
          ``total_ipr`` of a table, 1 for one frequency. A table is an embedding or the read-out.
        - (step, layer): ``norm`` of each layer's parameters; (step): ``total_norm``.
        - (step, measure): ``measure``, the further numbers.

        Attributes: ``loss``, and ``key_frequencies``: "given", "final" or "followed".

    Raises:
        TypeError: the measures are no functions.
        ValueError: no step is stored, both ``frequencies`` and ``follow``, a frequency that the
            task does not have, or a task without a periodic basis.

    Source: Nanda et al. 2023, arXiv:2301.05217, sections 5.1 and 5.2.
    """
    if frequencies is not None and follow:
        raise ValueError("frequencies are given, so follow=True has no effect; leave one out")
    more = MEASURES | dict(measures or {})
    for name, measure in more.items():
        if not callable(measure):
            raise TypeError(f"measures[{name!r}] must be a function of a network and its data set")
    if not stored_steps(run):
        raise ValueError(
            "the run has no stored network; train with checkpoints=checkpoints_at(...)"
        )
    basis = network_on_pairs(run.model).basis(run.config.data.operation)
    fixed = None if frequencies is None else basis.check_frequencies(frequencies)
    if fixed is None and not follow:
        *_, last = stored_networks(run)
        fixed = _keys(logit_spectrum(network_on_pairs(last.model).logits(), basis))
    rows = [
        _row(network_on_pairs(stored.model), run, basis, fixed, more).assign_coords(
            step=stored.step
        )
        for stored in stored_networks(run)
    ]
    data = xr.concat(rows, dim="step", join="exact")
    data["step"].attrs["units"] = "updates"
    kind = "followed" if follow else "given" if frequencies is not None else "final"
    return data.assign_attrs(loss=run.config.training.loss, key_frequencies=kind)


def _keys(spectrum: LogitSpectrum) -> list[int]:
    """Key frequencies; none where the logits do not depend on the class."""
    return [] if spectrum.shares.isnan().any() else key_frequencies(spectrum)


def _row(
    network: NetworkOnPairs,
    run: Run,
    basis: Basis,
    fixed: Sequence[int] | None,
    more: Mapping[str, Measure],
) -> xr.Dataset:
    """All measures of one network."""
    logits = network.logits()
    spectrum = logit_spectrum(logits, basis)
    own = _keys(spectrum)
    keys = own if fixed is None else fixed
    is_key = torch.isin(basis.frequencies, torch.tensor(keys, dtype=torch.int64))
    scores = [
        frequency_scores(
            logits,
            run.dataset.labels,
            basis,
            keys,
            mask=run.dataset.masks[subset],
            kind=run.config.training.loss,
        )
        for subset in SUBSETS
    ]
    per_variant = ("variant", "subset")
    neurons, tables = _neurons(network, run, basis), _tables(network, basis)
    norms = norms_by_layer(network.model)
    values = torch.tensor(QUANTILES, dtype=torch.float64)
    living = {name: found[~found.isnan()] for name, found in neurons.items()}
    nothing = torch.full((len(QUANTILES),), torch.nan, dtype=torch.float64)
    quantiles = [x.quantile(values) if len(x) else nothing for x in living.values()]
    return xr.Dataset(
        {
            "loss": (per_variant, [[s.loss[v] for s in scores] for v in VARIANTS]),
            "accuracy": (per_variant, [[s.accuracy[v] for s in scores] for v in VARIANTS]),
            "share": ("frequency", spectrum.shares),
            "is_key": ("frequency", is_key),
            "explained": spectrum.explained,
            "explained_by_key": float(spectrum.shares[is_key].sum()),
            "n_key": len(own),
            "periodicity": ("neurons", [float(x.mean()) for x in living.values()]),
            "n_dead": ("neurons", [int(x.isnan().sum()) for x in neurons.values()]),
            "periodicity_quantile": (("neurons", "quantile"), torch.stack(quantiles)),
            "gini": ("table", [float(gini(s.shares.sqrt())) for s in tables.values()]),
            "total_ipr": ("table", [s.total_ipr for s in tables.values()]),
            "norm": ("layer", list(norms.values())),
            "total_norm": float(np.hypot.reduce(list(norms.values()))),
            "measure": ("name", [float(f(network.model, run.dataset)) for f in more.values()]),
        },
        coords={
            "variant": list(VARIANTS),
            "subset": list(SUBSETS),
            "frequency": basis.frequencies,
            "neurons": list(neurons),
            "quantile": list(QUANTILES),
            "table": list(tables),
            "layer": list(norms),
            "name": list(more),
        },
    )


def _neurons(network: NetworkOnPairs, run: Run, basis: Basis) -> dict[str, Float[Tensor, " n"]]:
    """Every periodicity that this network's neurons have; NaN for a dead neuron."""
    rows = {"input": network.anatomy.input_weights, "output": _output_weights(network)}
    iprs = {
        f"IPR of {name} weights": [
            ipr(only_living(table.detach().double().cpu()[basis.order].T)) for table in tables
        ]
        for name, tables in rows.items()
        if tables
    }
    if has_neuron_weights(network.model):  # one neuron has all three
        iprs = {"IPR of U, V, W": [x for vectors in iprs.values() for x in vectors]}
    found = {name: torch.stack(vectors).mean(dim=0) for name, vectors in iprs.items()}
    if network.neuron_hooks:
        spectra = model_neuron_spectra(network, run.config.data.operation)
        found |= {f"share, {hook}": spectrum.share for hook, spectrum in spectra.items()}
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
) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run, follow=follow)
    last = data.isel(step=-1)
    keys = last.frequency.values[last.is_key.values].tolist()
    rows = [
        f"{data.sizes['step']} stored steps, {int(data.step[0])} to {int(data.step[-1])}; more: "
        "gi.train(..., checkpoints=checkpoints_at(steps))",
        f"key frequencies at the end: {', '.join(map(str, keys)) or 'none'}",
    ]
    return Finding(data=data, figures=[plot_progress(data)], rows=rows)
