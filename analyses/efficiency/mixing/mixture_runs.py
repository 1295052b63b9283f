"""The mixture experiment from trained networks: as published, without leaks, and in variants.

``grokinterp run mixture OUT`` trains a C_mem on 20 % of the pairs and a C_gen on 90 % for every
seed, mixes them, and does the same to the two halves of networks in Coexistence. Kill it at any
moment and call it again.

Splits are nested, as published, so that C_gen has seen what C_mem has seen and 10 % of the pairs
are left that neither has. C_mem is trained without weight decay, which leaves it free of training
errors at the end; the paper's had one, after training with a weight decay of 1. C_gen has the
reference weight decay of ``settings``, for without it the small one does not generalise; the
paper's had none.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import torch
import typer

import grokinterp as gi
from analyses.announcement import Announcement
from analyses.efficiency import settings
from analyses.efficiency.circuits import halves
from analyses.efficiency.circuits.circuits import DEFINITIONS
from analyses.efficiency.circuits.sources import END, PUBLISHED_RULES, from_checkpoint, rule_of
from analyses.efficiency.mixing import gradient_flow, mixture
from analyses.efficiency.mixing.delay import summary
from analyses.efficiency.mixing.landscape import compute_landscape, plot_landscape
from analyses.efficiency.mixing.mixture_plot import plot_mixture, plot_scalars, plot_variants, table
from analyses.efficiency.mixing.mixture_variants import (
    EFFICIENT,
    OF_HALVES,
    SGD,
    VARIANTS,
    Variant,
    compute,
)
from analyses.efficiency.mixing.tables import Tables, published_tables, tables_of
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding
from grokinterp.randomness import generator
from grokinterp.sweeps.collect import Named, collect, folder_name
from grokinterp.training.rules import Rule

if TYPE_CHECKING:
    import plotly.graph_objects as go

_T = TypeVar("_T")
_Made = TypeVar("_Made")

FRACTIONS = {"memorising": 0.2, "generalising": 0.9}  # the paper's
LOSS = "mse_softmax"  # of the paper's MLP, whatever the reference settings of a size have
SETTLED = "settled"  # the checkpoint of the leak-free C_gen
# Times the reference steps: some small C_gen have only just generalised by then. Toys memorise
# under this loss at a lower rate only, and then later.
_LONGER = {
    "tiny": {"memorising": 4, "generalising": 2},
    "small": {"memorising": 1, "generalising": 2},
    "published": {"memorising": 1, "generalising": 1},
}
_LR = {"tiny": 5e-3}
_MIXTURE_STEPS = {"tiny": 1200, "small": 1500, "published": 1500}


def wanted(size: str, seeds: int) -> list[Named]:
    """The networks of C_mem and C_gen of every seed, in turn.

    Splits of a seed are nested; seeds differ in split and weights.
    """
    runs = []
    for seed in range(seeds):
        for kind, fraction in FRACTIONS.items():
            base = settings.seeded(settings.network("mlp", size), seed)
            changes = {
                "training.loss": LOSS,
                "training.steps": _LONGER[size][kind] * base.training.steps,
                "training.lr": _LR.get(size, base.training.lr),
            }
            if kind == "memorising":
                changes["training.weight_decay"] = 0.0
            config = settings.with_fraction(base, fraction).replace(changes)
            runs.append(Named(folder_name("mixture", size, kind, "seed", seed), config))
    return runs


def collect_runs(out: Path, size: str, seeds: int) -> list[dict[str, gi.Run]]:
    """For every seed the networks by kind; trained if they are not in ``out``."""
    both = wanted(size, seeds)
    rules = PUBLISHED_RULES | {SETTLED: _settled(both[-1].config.training.steps // 2)}
    runs = iter(collect(out, both, checkpoints=rules))
    return [dict(zip(FRACTIONS, (next(runs), next(runs)), strict=True)) for _ in range(seeds)]


def _settled(half: int) -> Rule:
    """The first evaluation in the second half of training that a validated C_gen could be.

    Late, so that its probabilities are sharp; not the last one, because accuracies of networks
    under weight decay keep flickering by a pair.
    """
    late, right = gi.at_step(half), rule_of(DEFINITIONS["validated"]["generalising"])
    return lambda rows: late(rows) and right(rows)


def protocols(runs: Mapping[str, gi.Run]) -> dict[str, Tables]:
    """The tables of one seed's two networks, as published and leak-free.

    As published: C_mem when its train accuracy first was 99 %, C_gen at the end of training,
    validated on all that C_mem was not trained on. Leak-free: C_mem at the end, without training
    errors and with a validation accuracy of at most 5 %; C_gen from the second half of training,
    right on 99.9 % of train and validation; validated on what neither has seen.

    Raises:
        CircuitError, ValueError: a network that is not the circuit it should be, with its numbers.
    """
    memorising, generalising = runs["memorising"], runs["generalising"]
    return {
        "as published": published_tables(
            from_checkpoint(memorising, "memorising", "memorising", definition="published"),
            from_checkpoint(generalising, END, "generalising", definition="published"),
        ),
        "leak-free": tables_of(
            from_checkpoint(memorising, END, "memorising"),
            from_checkpoint(generalising, SETTLED, "generalising"),
        ),
    }


def halves_tables(run: gi.Run) -> Tables:
    """The memorising and the generalising half of one network in Coexistence.

    The mixture is asked for the labels that training gave, wrong ones included, and validated on
    the network's own test pairs. The memorising half alone need not know the unchanged labels.

    Raises:
        TypeError, ValueError: as ``halves.split``.
    """
    parts = halves.split(run)
    return tables_of(parts["memorising"], parts["generalising"], errors="allowed")


def experiment(
    out: Out,
    size: Size = "small",
    seeds: Seeds = 3,
    steps: Annotated[
        int | None, typer.Option(min=50, help="of every mixture; 1500, at size tiny 1200")
    ] = None,
) -> Iterator[Announcement | Finding]:
    """Train C_mem and C_gen, mix them in every variant, and mix the halves of single networks."""
    halved = halves.wanted(size, seeds)  # refuses an unknown size
    steps = steps or _MIXTURE_STEPS[size]
    mixing = seeds * _seconds(halved[0].config.data.p, steps)
    yield Announcement.of(out, [*wanted(size, seeds), *halved], afterwards=mixing)
    pairs = _usable(collect_runs(out, size, seeds), protocols, "C_mem and C_gen")
    networks = _usable(halves.collect_runs(out, size, seeds), halves_tables, "halves")
    groups = {
        name: ({seed: pair[name] for seed, pair in pairs.items()}, VARIANTS)
        for name in next(iter(pairs.values()))
    }
    groups["halves of one network"] = (networks, OF_HALVES)
    for name, (tables, variants) in groups.items():
        data = compute(tables, variants, steps=steps, progress=True)
        data = data.assign_attrs(n_wanted=seeds)
        found = summary(data)
        fallen = f"When losses have fallen by 10 times (open: not by the end), {name}"
        figures = [plot_variants(found, title=fallen)]
        figures += [
            plot_mixture(
                data.sel(variant=v).assign_attrs(loss=variants[v].loss), title=f"{v}, {name}"
            )
            for v in variants
        ]
        if variants is VARIANTS:
            figures += _predicted(*next(iter(tables.items())), steps, name)
        yield Finding(
            data=data.merge(found),
            figures=figures,
            rows=[{"circuits": name, **row} for row in table(found)],
            name=f"mixture-{name.replace(' ', '-')}",
        )


def _predicted(seed: int, tables: Tables, steps: int, name: str) -> list["go.Figure"]:
    """Scalars of one seed with their flows, and its landscape."""
    figures = []
    for variant in (EFFICIENT, SGD):
        config = VARIANTS[variant].config(tables, steps=steps)
        flow = gradient_flow.predict(tables, config=config)
        title = f"Scalars and their {flow.attrs['flow']} flow: {variant}, {name}, seed {seed}"
        figures.append(plot_scalars(mixture.compute(tables, config=config), flow, title=title))
    config = VARIANTS[EFFICIENT].config(tables, steps=steps)
    return [*figures, plot_landscape(compute_landscape(tables, config=config), seed=seed)]


def _usable(found: Sequence[_T], make: Callable[[_T], _Made], what: str) -> dict[int, _Made]:
    """What can be made of the seeds whose networks are circuits, by seed; others are named."""
    made, error = {}, None
    for seed, one in enumerate(found):
        try:
            made[seed] = make(one)
        except ValueError as reason:
            error = reason
            typer.echo(f"seed {seed} is left out, its networks are no {what}: {reason}", err=True)
    if error is not None and not made:
        raise error
    return made


def _seconds(p: int, steps: int) -> float:
    """About how long all mixtures of one seed take: what is done once, and what every step costs.

    Timed on random tables, which cost as much as those of networks.
    """
    pairs, rng = p**2, generator(0, "random tables")
    place = torch.arange(pairs) / pairs
    tables = Tables(
        memorising=torch.randn(pairs, p, generator=rng),
        generalising=torch.randn(pairs, p, generator=rng),
        labels=torch.randint(p, (pairs,), generator=rng),
        is_train=place < FRACTIONS["memorising"],
        is_test=place >= FRACTIONS["generalising"],
        norms=(1.0, 1.0),
    )

    def seconds(variants: Mapping[str, Variant]) -> float:
        times = []
        for few in (25, 50):
            begin = time.perf_counter()
            compute([tables], variants, steps=few)
            times.append(time.perf_counter() - begin)
        per_step = max(0.0, times[1] - times[0]) / 25
        return times[0] + per_step * steps

    return 2 * seconds(VARIANTS) + seconds(OF_HALVES)  # as published and leak-free; halves
