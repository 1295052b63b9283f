"""Numbers for each unit of a kind, by which the page places and ranks them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from analyses.explorer.words import DISJOINT
from analyses.one_run.pruning_orders import scores as ranking
from grokinterp.basis import has_basis, task_basis
from grokinterp.data import DataConfig, Dataset
from grokinterp.models.units import FREQUENCIES, Units
from grokinterp.session import unaffected
from probes import direct_effects, neuron_spectrum, power_shares, unit_periodicity
from probes.alive import ALIVE, only_living
from probes.direct_output import direct_output
from probes.network_on_pairs import NetworkOnPairs
from probes.unit_effects import UnitEffects
from probes.unit_periodicity import unit_activations
from probes.unit_pruning import Removals

_PERIODICITY = {
    "ipr": ("IPR", "inverse participation ratio of its input and output weights"),
    "input_ipr": ("input IPR", "inverse participation ratio of its input weights"),
    "output_ipr": ("output IPR", "inverse participation ratio of its output weights"),
    "share": ("share", "share of its variance over all pairs at its strongest frequency"),
    "normalized_share": ("share", "the same behind its norm"),
}
_WRITES = "what it adds to the label's logit above the mean logit, mean over {} pairs"
_EFFECT = "by how much the mean loss on {} pairs rises if it alone is removed"


class Score(NamedTuple):
    """A number for each unit, in words."""

    key: str
    label: str
    about: str


@unaffected()
def unit_scores(
    network: NetworkOnPairs, data: Dataset, unit: str, order: Tensor
) -> dict[Score, Float[Tensor, " unit"]]:
    """The scores that units have in one network; float64, NaN for a unit without a value.

    Args:
        network: the network.
        data: all pairs, with the labels given in training.
        unit: name of the units.
        order: of the residues, see :func:`periodic_order`.

    Returns:
        Of "periodicity", "norm", "frequency" and "writes_test", ... those that the units have:
        the first of ``probes.unit_periodicity``; the L2 norm of the vectors with which a unit
        reads and writes or, without these, the size of its activation; the strongest frequency;
        and ``probes.direct_effects``.
    """
    units, vectors = network.units[unit], unit_vectors(network, unit)
    found: dict[Score, Tensor] = {}
    if (periodicity := _periodicity(network, unit)) is not None:
        label, about = _PERIODICITY[periodicity[0]]
        found[Score("periodicity", label, f"{about}: 1 if it has one frequency")] = periodicity[1]
    if vectors:
        which = "input and output" if len(vectors) > 1 else "input" if "U" in vectors else "output"
        norm = torch.stack(list(vectors.values())).square().sum(dim=(0, 2)).sqrt()
        found[Score("norm", "norm", f"L2 norm of its {which} weights")] = norm
    else:
        about = "root mean square of its activation over all pairs"
        if unit == FREQUENCIES:
            about = "norm of its part of the embedding"
        size = ranking(Removals(network, unit, "zero"), data, "activation")
        found[Score("norm", "size", about)] = size
    frequency = _frequency(network, units, vectors, order)
    if frequency is not None:
        about = "strongest one, cycles per period"
        found[Score("frequency", "frequency", about)] = frequency
    # A frequency is one of the parts of the embedding, which write as a whole.
    return found if unit == FREQUENCIES else found | _writes(network, data, unit)


def effect_scores(effects: UnitEffects) -> dict[Score, Float[Tensor, " unit"]]:
    """The change of the loss on each subset, of ``probes.exact_effects``."""
    return {
        Score(f"effect_{subset}", f"effect on {words} loss", _EFFECT.format(words)): effects.loss[
            subset
        ]
        for subset, words in DISJOINT.items()
    }


def unit_vectors(network: NetworkOnPairs, unit: str) -> dict[str, Float[Tensor, "unit p"]]:
    """The vectors with which units read and write, where they do so straight.

    "U" and "V" are what each residue as a and as b adds to a first-layer neuron; "W" is what the
    unit adds to each residue's logit, per unit of its activation (behind a norm: up to its factor).
    """
    units, hooks = network.units[unit], network.anatomy.neuron_hooks
    found: dict[str, Tensor] = {}
    if hooks and units.hooks == tuple(hooks[0]) and network.anatomy.input_weights:
        tables = [table.detach().double().cpu().T for table in network.anatomy.input_weights]
        found = {"U": tables[0], "V": tables[-1]}
    output = direct_output(network, units)
    return found if output is None else found | {"W": output.W}


def periodic_order(task: DataConfig) -> Tensor:
    """Residues in the order in which a task is periodic (``probes.task_basis``), if it is known."""
    known = has_basis(task.operation, task.p)
    return task_basis(task.operation, task.p).order if known else torch.arange(task.p)


def _periodicity(network: NetworkOnPairs, unit: str) -> tuple[str, Tensor] | None:
    for definition in _PERIODICITY:
        try:
            return definition, unit_periodicity(network, unit, definition).scores[definition]
        except ValueError:  # these units do not have this one
            continue
    return None


def _frequency(
    network: NetworkOnPairs, units: Units, vectors: Mapping[str, Tensor], order: Tensor
) -> Tensor | None:
    if units.name == FREQUENCIES:
        return torch.arange(1, units.count + 1).double()
    if vectors:
        living = only_living(torch.stack(list(vectors.values()))[..., order], ALIVE)
        shares = power_shares(living).mean(dim=0)
        frequency = shares.nan_to_num(0.0).argmax(dim=-1).double()
        return frequency.masked_fill(shares.isnan().any(dim=-1), float("nan"))
    values, operation = unit_activations(network, units), network.anatomy.operation
    if values is None or not has_basis(operation, network.p):
        return None
    plane = rearrange(values, "(a b) unit d -> a b (unit d)", a=network.p)
    spectrum = neuron_spectrum(plane, network.basis(operation), alive_from=0.0)
    power = spectrum.shares.nan_to_num(0.0) * spectrum.variance[:, None]
    power = rearrange(power, "(unit d) k -> unit d k", unit=units.count).sum(dim=1)
    strongest = spectrum.frequencies[power.argmax(dim=1)].double()
    return strongest.masked_fill(power.sum(dim=1) == 0, float("nan"))


def _writes(network: NetworkOnPairs, data: Dataset, unit: str) -> dict[Score, Tensor]:
    try:
        effects: Any = direct_effects(network, data, unit)
    except (TypeError, ValueError):  # they write to the logits by way of others
        return {}
    return {
        Score(f"writes_{subset}", f"writes to {words} labels", _WRITES.format(words)): effects[
            subset
        ]
        for subset, words in DISJOINT.items()
    }
