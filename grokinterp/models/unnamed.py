"""What to do where a probe needs a part that a wrapped network was not told of."""

from torch import nn


def unnamed(model: object, *parts: str) -> str:
    """A sentence on each of these parts of ``gi.wrap`` that is not named; empty for other networks.

    A network without hooks is to be wrapped first, and a run holds the network that is meant.

    Args:
        model: any network.
        parts: "first", "neurons" or "readout".
    """
    if isinstance(getattr(model, "model", None), nn.Module):
        return f" Of a {type(model).__name__} give the network in it, .model."
    if isinstance(model, nn.Module) and not hasattr(model, "hook_dict"):
        needed = ", ".join(f"{part}=..." for part in parts)
        return f" For a network without hooks, make model = gi.wrap(network, p=..., {needed})."
    named = getattr(model, "named_parts", None)
    missing = [] if named is None else [part for part in parts if part not in named]
    return "".join(
        f" This network names no {part}; pass {part}=... to gi.wrap." for part in missing
    )
