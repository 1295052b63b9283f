"""What to do where a probe needs a part that a wrapped network was not told of."""


def unnamed(model: object, *parts: str) -> str:
    """A sentence on each of these parts of ``gi.wrap`` that is not named; empty for other networks.

    Args:
        model: any network.
        parts: "first", "neurons" or "readout".
    """
    named = getattr(model, "named_parts", None)
    missing = [] if named is None else [part for part in parts if part not in named]
    return "".join(
        f" This network names no {part}; pass {part}=... to gi.wrap." for part in missing
    )
