"""What the page holds of each kind of units that a network lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analyses.explorer.removals import FEW_STRETCHES, STRETCHES, stored_removals
from analyses.explorer.room import Room
from analyses.explorer.scores import effect_scores, unit_scores, unit_vectors
from analyses.explorer.words import DISJOINT, units_in_words
from grokinterp import Run
from grokinterp.models.units import FREQUENCIES, kind_of
from grokinterp.short_text import short_repr
from probes import exact_effects
from probes.direct_output import direct_output
from probes.network_on_pairs import NetworkOnPairs
from probes.unit_effects import UnitEffects
from probes.unit_periodicity import unit_activations
from probes.unit_pruning import Removals

# Networks without a single unit, at most: a forward pass each.
MOST_ALONE = 600
# Numbers, at most, of an array of all networks but the last.
MOST_EARLIER = 3_000_000
# Scores by whose rank removals are stored.
_RANKED_BY = ("periodicity", "norm", "effect_test", "effect_changed")
_ACTIVATION = {"heads": "Length of what it writes", FREQUENCIES: ""}


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
    """Units whose activations or removals the page holds.

    Where the logits are a sum over the units and of a rest, the page removes any of them, exactly,
    with their activations, the vectors that they write and the rest: of the last network and, if
    these are few numbers, of earlier ones. Elsewhere, and where there is no room for these, it
    holds the answers of the last network after removals by rank.
    """
    output = direct_output(networks.last, networks.last.units[unit])
    if networks.runs and output is not None and output.is_exact:
        found = _recorded(networks, unit, room)
        if found is not None:
            return found
    return _stored(networks, unit, room)


def _recorded(networks: Networks, unit: str, room: Room) -> dict[str, Any] | None:
    """Activations and what units write; None if there is no room for them.

    Also None if the logits are not the sum that an architecture of one's own says they are.
    """
    words, earlier = units_in_words(unit, list(networks.last.units)), networks.stored[:-1]
    last, logits = _records(networks.last, unit), networks.last.logits().numpy()
    sums = last["activations"] @ last["W"] + last["rest"]
    if not np.allclose(sums, logits, rtol=0, atol=1e-4 * np.abs(logits).max()):
        return None
    for name, array in last.items():
        if not room.put(f"{unit}/{name}", array, f"{name} of {words}"):
            return None
    if (rounded := room.rounded_values(f"{unit}/activations")) is not None:
        error = np.abs((rounded - last["activations"]) @ last["W"]).max()
        room.notes.append(f"With these the logits are off by up to {error:.1g}.")
    found = _described(networks, unit, room) | {"source": "activations", "earlier": False}
    if earlier and len(earlier) * sum(map(np.size, last.values())) <= MOST_EARLIER:
        records = [_records(network, unit) for network in earlier]
        kept = [
            room.put_over_steps(f"{unit}/earlier_{name}", _stacked([of[name] for of in records]))
            for name in last
        ]
        found["earlier"] = all(kept)
    return found


def _stacked(arrays: list[np.ndarray]) -> np.ndarray:
    """As one array [step, ...]; a rest may have one row for all pairs at some steps."""
    rows = max(map(len, arrays))
    return np.stack([np.broadcast_to(array, (rows, *array.shape[1:])) for array in arrays])


def _records(network: NetworkOnPairs, unit: str) -> dict[str, np.ndarray]:
    """The parts of the sum that the logits are, see ``page/recorded.js``."""
    output = direct_output(network, network.units[unit])
    assert output is not None
    units = torch.arange(network.units[unit].count)
    rest = Removals(network, unit, "zero").logits(units).numpy()
    return {
        "activations": network.activations(output.hook).numpy(),
        "rest": rest[:1] if (rest == rest[:1]).all() else rest,
    } | {name: vectors.numpy() for name, vectors in unit_vectors(network, unit).items()}


def _stored(networks: Networks, unit: str, room: Room) -> dict[str, Any]:
    network = networks.last
    words = units_in_words(unit, list(network.units))
    effects = _effects(networks, unit)
    described = _described(networks, unit, room, effects)
    found = described | {"source": "stored", "by": [], "points": [0]}
    if effects and effects[-1] is not None:
        alone = torch.stack([effects[-1].accuracy[subset] for subset in DISJOINT], dim=1)
        room.put(f"{unit}/alone", alone.numpy(), f"effects of single {words}")
    if networks.removes:
        values = room.exact[f"{unit}/scores"][-1]
        keys = [score["key"] for score in described["scores"]]
        ranked = {key: values[keys.index(key)] for key in _RANKED_BY if key in keys}
        # A page has many gates and frequencies, and each removal takes a forward pass.
        few = unit == FREQUENCIES or kind_of(unit).startswith("gate")
        removals = stored_removals(network, unit, ranked, FEW_STRETCHES if few else STRETCHES)
        if room.put(f"{unit}/answers", removals.answers, f"answers without some {words}"):
            found |= {"by": removals.by, "points": removals.points}
    for name, array in _pictures(network, unit).items():
        room.put(f"{unit}/{name}", array, f"{name} of {words}")
        if len(networks.stored) > 1 and len(networks.stored) * array.size <= MOST_EARLIER:
            earlier = [_pictures(other, unit)[name] for other in networks.stored[:-1]]
            room.put_over_steps(f"{unit}/earlier_{name}", np.stack(earlier))
    return found


def _pictures(network: NetworkOnPairs, unit: str) -> dict[str, np.ndarray]:
    """Activations, of heads the lengths of what they write, and the vectors that units have."""
    found = {name: vectors.numpy() for name, vectors in unit_vectors(network, unit).items()}
    values = unit_activations(network, network.units[unit])
    if values is not None:
        one = values[..., 0] if values.shape[-1] == 1 else values.norm(dim=-1)
        found["activations"] = one.numpy()
    return found


def _effects(networks: Networks, unit: str) -> list[UnitEffects | None]:
    """``probes.exact_effects`` in each network or, if that takes too long, in the last one alone.

    Empty if it takes too long even there, and for an LSTM's gates, four in each layer.
    """
    count, loss = networks.last.units[unit].count, networks.run.config.training.loss
    if not networks.removes or count > MOST_ALONE or kind_of(unit).startswith("gate"):
        return []
    measured = networks.stored if count * len(networks.stored) <= MOST_ALONE else [networks.last]
    absent = [None] * (len(networks.stored) - len(measured))
    data = networks.run.dataset
    return [*absent, *(exact_effects(network, data, unit, loss=loss) for network in measured)]


def _described(
    networks: Networks, unit: str, room: Room, effects: Sequence[UnitEffects | None] = ()
) -> dict[str, Any]:
    """Names and scores; the scores of all networks are put into the room, [step, score, unit]."""
    data, names = networks.run.dataset, list(networks.last.units)
    found = [unit_scores(network, data, unit, networks.order) for network in networks.stored]
    for scores, effect in zip(found, effects, strict=bool(effects)):
        if effect is not None:
            scores |= effect_scores(effect)
    none = torch.full((networks.last.units[unit].count,), float("nan"), dtype=torch.float64)
    table = [torch.stack([of.get(score, none) for score in found[-1]]) for of in found]
    values = torch.stack(table).float().numpy()
    room.claim(exact={f"{unit}/scores": values}, over_steps={})  # everything else needs them
    return {
        "name": unit,
        "words": units_in_words(unit, names),
        "activation": _ACTIVATION.get(kind_of(unit), "Activation"),
        "count": networks.last.units[unit].count,
        "scores": [score._asdict() for score in found[-1]],
    }
