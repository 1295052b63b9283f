"""How periodic a network's units are, by several definitions, and how well these agree."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from grokinterp.basis import has_basis, residue_order
from grokinterp.checks import check_choice
from grokinterp.models.read_out import Heads
from grokinterp.models.units import FREQUENCIES, Units
from grokinterp.models.unnamed import unnamed
from grokinterp.short_text import one_line, short, short_repr
from grokinterp.tasks import Operation
from probes.alive import ALIVE, are_dead_sizes, only_living
from probes.direct_output import direct_output
from probes.ipr import ipr
from probes.network_on_pairs import NetworkOnPairs, network_on_pairs
from probes.neuron_spectrum import neuron_spectrum
from probes.probe import probe

DEFINITIONS = ("ipr", "input_ipr", "output_ipr", "share", "normalized_share")
_FEWEST = 3  # units that a rank correlation needs


class Agreement(NamedTuple):
    """How alike two definitions rank the units that have both."""

    spearman: float  # rank correlation; NaN with fewer than 3 units or equal values
    n: int  # units with both values

    def __repr__(self) -> str:
        return one_line(self)


@short_repr
@dataclass(frozen=True, eq=False)
class UnitPeriodicity:
    """Periodicity of every unit, by each definition that these units have.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import unit_periodicity
        >>> result = unit_periodicity(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> list(result.scores), result.scores["ipr"].shape
        (['ipr', 'input_ipr', 'output_ipr', 'share'], torch.Size([60]))
        >>> result.n_dead["share"]  # the activations of these are constant
        5
    """

    unit: str  # name of the units, such as "neurons.0"
    scores: Mapping[str, Float[Tensor, " unit"]]  # by definition, 0..1; NaN for a dead unit

    @property
    def n_dead(self) -> Mapping[str, int]:
        """How many units have no value, by definition: dead or constant ones."""
        return {name: int(score.isnan().sum()) for name, score in self.scores.items()}

    @property
    def agreement(self) -> Mapping[tuple[str, str], Agreement]:
        """Spearman's rank correlation of every two definitions."""
        return {
            (one, other): rank_agreement(self.scores[one], self.scores[other])
            for one, other in combinations(self.scores, 2)
        }


@probe
def unit_periodicity(
    model: Any,
    unit: str = "neurons.0",
    definition: str | None = None,
    *,
    operation: Operation | None = None,
    alive_from: float = ALIVE,
) -> UnitPeriodicity:
    """How periodic each unit is, as a number in 0..1; 1 for a single frequency.

    Which definitions apply depends on the vectors or activations that the units have:

    - "input_ipr": IPR (:func:`probes.ipr`) of what each residue adds to a first-layer neuron before
      its nonlinearity, mean over the operands. Source: Doshi et al. 2023, arXiv:2310.13061,
      appendix G (rows of the embedding).
    - "output_ipr": IPR of what the unit adds to each residue's logit, for neurons of the last
      layer and hidden units of an LSTM's last layer.
    - "ipr": mean IPR over all of these vectors, for units that have both kinds: the neurons of a
      network with one hidden layer. Source: the same, eqs. 3 and 4.
    - "share": share of the variance over the (a, b) plane at the unit's strongest frequency, see
      :func:`probes.neuron_spectrum`. An LSTM's unit is measured at its last step. A head is
      measured by what it writes, a vector: variances at a frequency are added up over its
      components. Source: Nanda et al. 2023, arXiv:2301.05217, section 4.3.
    - "normalized_share": the same behind the norm that follows the neurons.

    All are measured in the task's basis; where the task has none, IPRs are over residues in their
    natural order, and there are no shares.

    Args:
        model: a network that knows its task, or a ``NetworkOnPairs`` of one that does not.
        unit: a name that ``model.list_units()`` lists.
        definition: one of the above; None for all that these units have.
        operation: the task; by default the one that the network was built for.
        alive_from: the least size of a living unit relative to its layer's largest, as in
            :mod:`probes.alive`: the norm of each vector, the standard deviation of an activation.

    Returns:
        float64 scores.

    Raises:
        ValueError: the network lacks these units, or the units lack this definition.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import unit_periodicity
        >>> config = gi.RunConfig(model=gi.TransformerConfig(d_model=16))
        >>> model = gi.build_model(config.replace({"data.p": 13}))
        >>> {unit: list(unit_periodicity(model, unit).scores) for unit in ("neurons.0", "heads.0")}
        {'neurons.0': ['output_ipr', 'share'], 'heads.0': ['share']}
    """
    network = network_on_pairs(model)
    units = units_of(network, unit)
    if definition is not None:
        check_choice("definition", definition, DEFINITIONS)
    found: dict[str, Tensor] = {}
    wanted = DEFINITIONS if definition is None else (definition,)
    if {"ipr", "input_ipr", "output_ipr"} & set(wanted):
        found |= _iprs(network, units, operation, alive_from)
    for name, activations in {"share": unit_activations, "normalized_share": _normalized}.items():
        if name in wanted:
            found |= _share(name, activations, network, units, operation, alive_from)
    scores = {name: found[name] for name in wanted if name in found}
    if not scores:
        raise ValueError(
            f"{unit} of {type(network.model).__name__} have no periodicity"
            f"{'' if definition is None else f' by definition={definition!r}'}: "
            "IPRs need first-layer neurons in front of attention or units that write straight to "
            "the logits, shares a task with a periodic basis, normalized_share a norm behind the "
            f"neurons; {'leave definition out for all that there are, or ' if definition else ''}"
            "give other units, from model.list_units()"
        )
    return UnitPeriodicity(unit, scores)


@probe
def rank_agreement(one: Float[Tensor, " unit"], other: Float[Tensor, " unit"]) -> Agreement:
    """Spearman's rank correlation of two scores over the units that have both.

    Examples:
        >>> import torch
        >>> from probes import rank_agreement
        >>> score = torch.tensor([0.1, 0.5, 0.4, torch.nan])
        >>> agreement = rank_agreement(score, score**2)
        >>> round(agreement.spearman, 3), agreement.n
        (1.0, 3)
    """
    from scipy.stats import rankdata

    both = ~(one.isnan() | other.isnan())
    x, y = (rankdata(score[both].double().cpu().numpy()) for score in (one, other))
    if len(x) < _FEWEST or x.min() == x.max() or y.min() == y.max():
        return Agreement(math.nan, len(x))
    return Agreement(float(np.corrcoef(x, y)[0, 1]), len(x))


def units_of(network: NetworkOnPairs, unit: str) -> Units:
    """The units of a name.

    Raises:
        ValueError: the network does not have them.
    """
    if unit not in network.units:
        raise ValueError(
            f"unit={short(unit)}, but {type(network.model).__name__} has "
            f"{', '.join(network.units) or 'no units'}; give unit= one of these."
            f"{unnamed(network.model, 'neurons')}"
        )
    return network.units[unit]


def _iprs(
    network: NetworkOnPairs, units: Units, operation: Operation | None, alive_from: float
) -> dict[str, Tensor]:
    known = network.anatomy.operation if operation is None else operation
    order = residue_order(known, network.p)
    hooks = network.anatomy.neuron_hooks
    tables: dict[str, list[Tensor]] = {"input_ipr": [], "output_ipr": []}
    if hooks and units.hooks == tuple(hooks[0]):
        tables["input_ipr"] = [w.detach().double().cpu().T for w in network.anatomy.input_weights]
    if (output := direct_output(network, units)) is not None:
        tables["output_ipr"] = [output.W]
    parts = {
        name: torch.stack([ipr(only_living(rows[:, order], alive_from)) for rows in vectors])
        for name, vectors in tables.items()
        if vectors
    }
    found = {name: part.mean(dim=0) for name, part in parts.items()}
    return found | ({"ipr": torch.cat(list(parts.values())).mean(dim=0)} if len(parts) > 1 else {})


def _share(
    name: str,
    activations: Callable[[NetworkOnPairs, Units], Tensor | None],
    network: NetworkOnPairs,
    units: Units,
    operation: Operation | None,
    alive_from: float,
) -> dict[str, Tensor]:
    """Share of each unit's variance at its best frequency, by name; empty without a basis."""
    known = network.anatomy.operation if operation is None else operation
    values = activations(network, units) if has_basis(known, network.p) else None
    if values is None:
        return {}
    basis = network.basis(known)
    plane = rearrange(values, "(a b) unit d -> a b (unit d)", a=network.p)
    spectrum = neuron_spectrum(plane, basis, alive_from=0.0)
    by_component = spectrum.shares.nan_to_num(0.0) * spectrum.variance[:, None]
    power = rearrange(by_component, "(unit d) k -> unit d k", unit=units.count).sum(dim=1)
    variance = rearrange(spectrum.variance, "(unit d) -> unit d", unit=units.count).sum(dim=1)
    dead = are_dead_sizes(variance.sqrt(), alive_from)
    share = power.max(dim=1).values / variance
    return {name: share.masked_fill(dead, math.nan)}


def unit_activations(network: NetworkOnPairs, units: Units) -> Float[Tensor, "pair unit d"] | None:
    """Each unit's activation; for a head, the vector that it writes. None for frequencies."""
    if units.name == FREQUENCIES:
        return None
    values = network.activations(units.last)
    if units.axis != -2:
        return values[..., None]
    for part in network.anatomy.direct_path:
        if isinstance(part, Heads) and part.hook == units.last:
            W_O = part.W_O.detach().double().cpu()
            return einsum(values, W_O, "pair head d_head, head d_head d -> pair head d")
    return values  # of a network without a known output matrix


def _normalized(network: NetworkOnPairs, units: Units) -> Float[Tensor, "pair unit d"] | None:
    """Neurons' activations behind their norm; None without one."""
    about, hooks = network.anatomy, network.neuron_hooks
    if units.last not in hooks or (layer := hooks.index(units.last)) not in about.gains:
        return None
    hook = f"{about.gains[layer].rpartition('.')[0]}.hook_normalized"
    if hook not in network.model.hook_dict:
        # An architecture with other names: the read-out's input is behind the last layer's norm.
        if layer != len(hooks) - 1 or about.read_out is None or about.read_out.hook is None:
            return None
        hook = about.read_out.hook
    return network.activations(hook)[..., None]
