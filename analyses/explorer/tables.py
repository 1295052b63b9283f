"""The circles of the embedding, and attention: what is shown of parts that are no units."""

from typing import Any

import numpy as np

from analyses.explorer.room import Room
from analyses.one_run import embedding_planes, embedding_spectrum
from grokinterp import Run
from probes.network_on_pairs import NetworkOnPairs


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
    shares = spectrum.share.sel(table=tables).values
    if not room.put("embedding/shares", shares, "the spectrum of the embedding"):
        return None
    if not room.put("embedding/circles", circles, "circles of the embedding"):
        return None
    strongest = frequencies[int(np.nan_to_num(shares[-1]).sum(axis=0).argmax())]
    return {"tables": tables, "frequencies": frequencies, "strongest": strongest}


def attention(network: NetworkOnPairs, room: Room) -> dict[str, Any] | None:
    """Where every head looks from every position; None for a network without attention.

    Puts "attention/LAYER" [head, query, key, pair] of the last network into the room.
    """
    hooks = [name for name in network.model.hook_dict if name.split(".")[-1] == "hook_pattern"]
    if not hooks:
        return None
    words = (network.anatomy.template or "a b").split()
    layers: list[dict[str, Any]] = []
    for layer, hook in enumerate(hooks):
        patterns = [network.activations(hook, position=at) for at in range(len(words))]
        pattern = np.stack([rows.numpy() for rows in patterns])  # [query, pair, head, key]
        pattern = pattern.transpose(2, 0, 3, 1)
        if room.put(f"attention/{layer}", pattern, f"attention of layer {layer}"):
            layers.append({"layer": layer, "heads": len(pattern)})
    return {"positions": words, "layers": layers} if layers else None
