"""What the page holds of each kind of units that a network lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from analyses.explorer.removals import stored_removals
from analyses.explorer.room import Room
from analyses.explorer.scores import effect_scores, unit_scores, unit_vectors, written
from analyses.explorer.words import DISJOINT, units_in_words
from grokinterp import Run
from grokinterp.models.units import FREQUENCIES, kind_of
from grokinterp.short_text import short_repr
from probes import exact_effects
from probes.direct_output import direct_output
from probes.network_on_pairs import NetworkOnPairs
from probes.unit_pruning import Removals

# Units that are removed one by one, at most: a forward pass each.
MOST_ALONE = 600
# Scores by whose rank removals are stored.
_RANKED_BY = ("periodicity", "norm", "effect_test", "effect_changed")


@short_repr
@dataclass(frozen=True, eq=False)
class Networks:
    """A run's stored networks, the last of which is shown in full."""

    run: Run
    stored: Sequence[NetworkOnPairs]  # rising with the steps
    order: Tensor  # of the residues
    runs: bool  # whether a browser has time for the products of units and what they write
    removes: bool  # whether there is time for removals, which take a forward pass each

    @property
    def last(self) -> NetworkOnPairs:
        """The one after the last stored step."""
        return self.stored[-1]


def kind_from_weights(networks: Networks, unit: str, room: Room) -> dict[str, Any]:
    """Units of a network that the page runs from its weights."""
    return _described(networks, unit, room) | {"source": "weights"}


def kind(networks: Networks, unit: str, room: Room) -> dict[str, Any]:
    """Units whose activations or removals the page holds, of the last network.

    The logits may be a sum over the units and of a rest. With "activations", the rest and the
    vectors that units write the page removes any of them, exactly. Otherwise, and where there is no
    room for these, it holds the answers after removals by rank.
    """
    network, units = networks.last, networks.last.units[unit]
    output = direct_output(network, units)
    vectors = unit_vectors(network, unit)
    if networks.runs and output is not None and output.is_exact:
        rest = Removals(network, unit, "zero").logits(torch.arange(units.count)).numpy()
        if (rest == rest[:1]).all():
            rest = rest[:1]
        words = units_in_words(unit, list(network.units))
        activations = network.activations(output.hook).numpy()
        if room.put(f"{unit}/rest", rest, f"the logits without {words}") and room.put(
            f"{unit}/activations", activations, f"activations of {words}"
        ):
            _keep_vectors(vectors, unit, room)
            return _described(networks, unit, room) | {"source": "activations"}
    return _stored(networks, unit, room)


def _stored(networks: Networks, unit: str, room: Room) -> dict[str, Any]:
    network, units = networks.last, networks.last.units[unit]
    words = units_in_words(unit, list(network.units))
    # An LSTM's gates are many, and each has the hidden units that it serves.
    is_gate = kind_of(unit).startswith("gate")
    effects = None
    if networks.removes and units.count <= MOST_ALONE and not is_gate:
        loss = networks.run.config.training.loss
        effects = exact_effects(network, networks.run.dataset, unit, loss=loss)
    described = _described(networks, unit, room, effects)
    found = described | {"source": "stored", "by": [], "points": [0], "alone": effects is not None}
    if effects is not None:
        alone = torch.stack([effects.accuracy[subset] for subset in DISJOINT], dim=1)
        found["alone"] = room.put(f"{unit}/alone", alone.numpy(), f"effects of single {words}")
    if networks.removes:
        values = room.exact[f"{unit}/scores"][-1]
        keys = [score["key"] for score in described["scores"]]
        ranked = {key: values[keys.index(key)] for key in _RANKED_BY if key in keys}
        removals = stored_removals(network, unit, ranked)
        if room.put(f"{unit}/answers", removals.answers, f"answers without some {words}"):
            found |= {"by": removals.by, "points": removals.points}
    if unit != FREQUENCIES:
        values = written(network, units)
        assert values is not None
        size = values[..., 0] if values.shape[-1] == 1 else values.norm(dim=-1)
        room.put(f"{unit}/activations", size.numpy(), f"activations of {words}")
    _keep_vectors(unit_vectors(network, unit), unit, room)
    return found


def _keep_vectors(vectors: dict[str, Tensor], unit: str, room: Room) -> None:
    for name, vector in vectors.items():
        room.put(f"{unit}/{name}", vector.numpy(), f"weights of {unit}")


def _described(networks: Networks, unit: str, room: Room, effects: Any = None) -> dict[str, Any]:
    """Names and scores; the scores of all networks are put into the room, [step, score, unit]."""
    data, names = networks.run.dataset, list(networks.last.units)
    found = [unit_scores(network, data, unit, networks.order) for network in networks.stored]
    scores = list(found[-1])
    table = [torch.stack([of.get(score, _none(of)) for score in scores]) for of in found]
    if effects is not None:  # of the last network alone: elsewhere they have no value
        known = effect_scores(effects)
        more = torch.stack(list(known.values()))
        absent = torch.full_like(more, float("nan"))
        table = [torch.cat([now, absent]) for now in table[:-1]] + [torch.cat([table[-1], more])]
        scores += list(known)
    values = torch.stack(table).float().numpy()
    room.exact[f"{unit}/scores"] = values  # small, and everything else needs them
    room.left -= values.nbytes
    return {
        "name": unit,
        "words": units_in_words(unit, names),
        "count": networks.last.units[unit].count,
        "scores": [score._asdict() for score in scores],
    }


def _none(of: dict[Any, Tensor]) -> Tensor:
    return torch.full_like(next(iter(of.values())), float("nan"))
