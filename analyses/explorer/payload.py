"""What the explorer shows of a run: its task, its networks over training, their units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyses.explorer.kinds import MOST_EARLIER, Networks, kind, kind_from_weights
from analyses.explorer.layers import has_plain_weights, plain_weights
from analyses.explorer.removals import as_classes
from analyses.explorer.room import Room
from analyses.explorer.scores import periodic_order
from analyses.explorer.sizes import Parts, parts
from analyses.explorer.tables import attention, embedding
from analyses.explorer.words import DISJOINT
from analyses.one_run.ipr_histogram import IPR_MEMORISES_BELOW
from analyses.one_run.stored_networks import StoredNetwork, stored_networks
from grokinterp import Run
from grokinterp.bars import each
from grokinterp.data import Dataset
from grokinterp.models.units import kind_of
from grokinterp.session import unaffected
from grokinterp.short_text import short_repr
from probes import network_on_pairs
from probes.network_on_pairs import NetworkOnPairs

_CURVE_POINTS = 600  # steps of the history that are drawn, at most


@short_repr
@dataclass(frozen=True)
class Payload:
    """A run as the page needs it."""

    about: dict[str, Any]  # plain data, for JSON
    arrays: dict[str, np.ndarray]
    over_steps: dict[str, np.ndarray]  # [step, ...], rounded to 16 bits


@unaffected()
def gather(run: Run, *, name: str, progress: bool = False) -> Payload:
    """Everything that the page shows.

    Args:
        run: a run of any network that lists its units.
        name: of the run, for the heading.
        progress: show a progress bar.

    Raises:
        ValueError: no units, a network too large, or no network at all is stored.
    """
    stored = list(stored_networks(run))
    if not stored:
        raise ValueError(f"{name} {run.ending}, so there is no network to explore")
    last = network_on_pairs(stored[-1].model)
    if not last.units:
        raise ValueError(
            f"{name} is a {last.anatomy.description}, which lists no units, so there is nothing to "
            "switch off; name them (gi.wrap(net, neurons=...)), or override neuron_hooks"
        )
    weights = plain_weights(last.model) if has_plain_weights(last.model) else None
    chosen = _room_for(weights, stored)
    stored = [stored[place] for place in chosen.networks]
    data, order, room = run.dataset, periodic_order(run.config.data), Room()
    room.notes += chosen.notes
    networks = Networks(
        run,
        [network_on_pairs(of.model) for of in stored],
        order,
        runs=chosen.runs,
        removes=chosen.removes,
    )
    runs = {}
    if weights is not None and chosen.runs:
        earlier = [plain_weights(of.model) for of in stored[:-1]]
        keys = weights if earlier else ()
        over_steps = {f"earlier_{key}": np.stack([one[key] for one in earlier]) for key in keys}
        room.claim(exact=weights, over_steps=over_steps)
        runs = {"act": run.config.model.act, "layers": len(last.anatomy.neuron_hooks)}
    kinds = []
    for unit in each(_by_importance(last), "kinds of units", wanted=progress):
        is_run = runs and unit == f"neurons.{len(last.neuron_hooks) - 1}"
        of = kind_from_weights(networks, unit, room) | runs if is_run else None
        kinds.append(of or kind(networks, unit, room))
    answers = np.stack([as_classes(network.logits(), network.p) for network in networks.stored])
    room.put("answers", answers, "answers to all pairs")
    runs_somewhere = any(of["source"] != "stored" for of in kinds)
    has_logits = runs_somewhere or (chosen.removes and _put_logits(networks.stored, room))
    steps = [of.step for of in stored]
    circles = embedding(run, steps, room)
    about = _about(run, name, steps) | {
        "order": order.tolist(),
        "units": sorted(kinds, key=lambda of: list(last.units).index(of["name"])),
        "first": kinds[0]["name"],
        "runs": runs_somewhere,
        "subsets": DISJOINT,
        "logits": has_logits,
        "embedding": circles,
        "circle": circles["strongest"] if circles else 0,
        "attention": attention(networks.stored, room),
        "notes": room.notes,
    }
    arrays = {
        "labels": data.labels.numpy().astype(np.uint16),
        "clean_labels": data.clean_labels.numpy().astype(np.uint16),
        "subsets": subset_codes(data),
        **room.exact,
    }
    return Payload(about, arrays, room.rounded)


def _room_for(weights: dict[str, np.ndarray] | None, stored: Sequence[StoredNetwork]) -> Parts:
    """How many of the stored networks the page holds, and whether it runs them."""
    network = network_on_pairs(stored[-1].model)
    size = sum(units.count for units in network.units.values())
    products = network.p**3 * network.units[_by_importance(network)[0]].count
    if weights is not None:
        size = sum(weight.size for weight in weights.values())
        matrices = [w for name, w in weights.items() if name[:3] in ("W_i", "W_U")]
        products = network.p**2 * sum(matrix.size for matrix in matrices)
    steps = [of.step for of in stored]
    return parts(weights=size, steps=steps, products=products, logits=network.p**3)


def _put_logits(stored: Sequence[NetworkOnPairs], room: Room) -> bool:
    """Keep the logits of all pairs, at earlier steps too if these are few; False without room."""
    *earlier, last = stored
    if not room.put("logits", last.logits().numpy(), "logits of all pairs"):
        return False
    if earlier and len(earlier) * last.p**3 <= MOST_EARLIER:
        room.put_over_steps("earlier_logits", np.stack([of.logits().numpy() for of in earlier]))
    return True


def _by_importance(network: NetworkOnPairs) -> list[str]:
    """The last neurons, other neurons, heads and hidden units, and all the rest."""
    ranks = {"neurons": 0, "hidden": 0, "heads": 1, "frequencies": 2}
    names = list(network.units)
    names.reverse()  # of several layers the last one first
    return sorted(names, key=lambda unit: ranks.get(kind_of(unit), 3))


def subset_codes(data: Dataset) -> np.ndarray:
    """For each pair the place of its subset in ``DISJOINT``; uint8."""
    codes = np.zeros(len(data.labels), dtype=np.uint8)
    for code, subset in enumerate(DISJOINT):
        codes[data.masks[subset].numpy()] = code
    return codes


def _about(run: Run, name: str, steps: Sequence[int]) -> dict[str, Any]:
    data, history = run.config.data, run.history
    keep = np.unique(
        np.linspace(0, max(0, history.sizes["step"] - 1), _CURVE_POINTS).round().astype(int)
    )
    curves = history.isel(step=keep) if history.sizes["step"] else history
    return {
        "name": name,
        "operation": getattr(data.operation, "name", data.operation),
        "p": data.p,
        "network": run.model.description,
        "train_fraction": data.train_fraction,
        "corruption": data.corruption,
        "ending": run.ending,
        "steps": list(steps),
        "threshold": IPR_MEMORISES_BELOW,
        "history": {
            "step": curves.step.values.tolist(),
            "accuracy": {
                subset: _plain(curves[f"{subset}_accuracy"].values) for subset in DISJOINT
            },
        },
    }


def _plain(values: np.ndarray) -> list[float | None]:
    """Numbers for JSON, which has no NaN."""
    return [round(float(v), 5) if np.isfinite(v) else None for v in values]
