"""Sentences of the report that put an analysis's numbers into words."""

import xarray as xr

from analyses.one_run import pruning
from analyses.one_run.ipr_histogram import IPR_GENERALISES_ABOVE, IPR_MEMORISES_BELOW
from analyses.one_run.pruning_orders import NAMES
from analyses.one_run.summary import READ_AT, in_words
from grokinterp.data import SUBSETS
from grokinterp.models.units import WORDS, kind_of


def yes(passed: bool | None) -> str:
    return "not measured" if passed is None else "yes" if passed else "no"


def why(text: str) -> str:
    """What was measured; of a network at chance there is no share to name."""
    return text.replace("nan of the accuracy is left", "the whole network is at chance")


def about_neurons(neurons: dict[str, int]) -> str:
    total, low, between, high, dead = neurons.values()
    text = (
        f"{low} of {total} neurons have an IPR below {IPR_MEMORISES_BELOW}, like noise; {high} "
        f"have one above {IPR_GENERALISES_ABOVE}, close to a single frequency; {between} lie "
        "between"
    )
    return text + (f", and {dead} are dead and have no IPR." if dead else ".")


def about_removals(pruned: xr.Dataset, order: str) -> str:
    told = []
    for direction, share in READ_AT.items():
        one = pruning.curve(pruned, order, direction)
        accuracy = pruning.at_share(one, share).accuracy
        left = {subset: float(accuracy.sel(subset=subset)) for subset in SUBSETS}
        which = {"low": "lowest", "high": "highest"}[direction]
        accuracy_is = "the accuracy is " if direction == "low" else ""
        told.append(
            f"ithout the {share:.0%} of {which} {NAMES[order]}, {accuracy_is}"
            f"{in_words(left) or 'not defined'}"
        )
    return f"W{'; w'.join(told)}."


def about_controls(pruned: xr.Dataset) -> str:
    is_random = pruned.order.values == "random"
    chance = pruning.at_share(pruned, READ_AT["low"]).accuracy.isel(curve=is_random)
    mean = {subset: float(chance.sel(subset=subset).mean()) for subset in SUBSETS}
    many = WORDS[kind_of(pruned.attrs["unit"])][0]
    return (
        f"After removing {READ_AT['low']:.0%} of the {many} at random, the accuracy is "
        f"{in_words(mean) or 'not defined'} (mean of {chance.sizes['curve']} orders). In the other "
        f"curves the order depends on a property of the {many}."
    )
