"""The circles of the embedding, and attention: what is shown of parts that are no units."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyses.explorer.room import Room
from analyses.one_run import embedding_planes, embedding_spectrum
from grokinterp import Run
from probes.network_on_pairs import NetworkOnPairs

# Attention at earlier steps: numbers of a layer, at most.
_MOST_EARLIER = 2_000_000


def embedding(run: Run, steps: list[int], room: Room) -> dict[str, Any] | None:
    """Circles and spectra of the input tables; None without tables or a periodic basis.

    Puts "embedding/circles" [step, table, frequency, place, axis] and "embedding/shares" [step,
    table, frequency] into the room: :func:`analyses.one_run.embedding_planes.compute` at all
    frequencies, in units of the table's root mean square norm, and
    :func:`analyses.one_run.embedding_spectrum.compute`.
    """
    try:
        spectrum = embedding_spectrum.compute(run).sel(step=steps)
    except (TypeError, ValueError):
        return None
    frequencies = spectrum.frequency.values.tolist()
    planes = embedding_planes.compute(run, frequencies=frequencies).sel(step=steps)
    tables = planes.table.values.tolist()
    circles = (planes.position / planes["size"]).fillna(0.0).values
    shares = spectrum.share.sel(table=tables).fillna(0.0).values  # of a table of zeros
    if not room.put("embedding/shares", shares, "the spectrum of the embedding"):
        return None
    if not room.put("embedding/circles", circles, "circles of the embedding"):
        return None
    strongest = frequencies[int(shares[-1].sum(axis=0).argmax())]
    return {"tables": tables, "frequencies": frequencies, "strongest": strongest}


def attention(stored: Sequence[NetworkOnPairs], room: Room) -> dict[str, Any] | None:
    """Where every head looks from every position; None for a network without attention.

    Puts "attention/LAYER" [head, query, key, pair] of the last network into the room and, if these
    are few numbers, "attention/LAYER/earlier" of the others.
    """
    network, model = stored[-1], stored[-1].model
    hooks = [name for name in model.hook_dict if name.split(".")[-1] == "hook_pattern"]
    words = (network.anatomy.template or "a b").split()
    layers: list[dict[str, Any]] = []
    for layer, hook in enumerate(hooks):
        last = _patterns(network, hook, len(words))
        if not room.put(f"attention/{layer}", last, f"attention of layer {layer}"):
            continue
        earlier = 1 < len(stored) <= _MOST_EARLIER / last.size
        if earlier:
            patterns = [_patterns(other, hook, len(words)) for other in stored[:-1]]
            earlier = room.put_over_steps(f"attention/{layer}/earlier", np.stack(patterns))
        layers.append({"layer": layer, "heads": len(last), "earlier": earlier})
    return {"positions": words, "layers": layers} if layers else None


def _patterns(network: NetworkOnPairs, hook: str, length: int) -> np.ndarray:
    rows = [network.activations(hook, position=at).numpy() for at in range(length)]
    return np.stack(rows).transpose(2, 0, 3, 1)  # [query, pair, head, key] before
