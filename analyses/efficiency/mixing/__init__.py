"""A mixture of two trained circuits: as published, without leaks, and in variants (Fig. 5).

``grokinterp run mixture OUT`` trains for every seed a C_mem on 20 % of the pairs and a C_gen on
90 %, mixes them, and does the same with the two halves of networks in Coexistence. Two controls
change one thing each in the published mixture: the pairs that it is validated on, or the training
pairs that C_mem gets wrong. The published mixture is also begun with other factors of C_mem
(``FACTORS``), such as the code's 1000. If it is killed, the same command continues it.

Splits are nested, as published: C_gen has seen what C_mem has seen, and neither has seen the last
10 % of the pairs. C_mem is trained without weight decay, so that it ends without training errors;
the paper's was trained with a weight decay of 1 and had one error. C_gen has the weight decay of
``settings``, without which the small one does not generalise; the paper's had none.

Examples:
    >>> import dataclasses
    >>> import grokinterp as gi
    >>> from analyses.efficiency.circuits.sources import END, closed_form, from_checkpoint
    >>> from analyses.efficiency.mixing import mixture, tables
    >>> config = gi.RunConfig().replace({"data.p": 13, "data.train_fraction": 0.3})
    >>> run = gi.train(config.replace({"training.steps": 200}))
    >>> memorising = from_checkpoint(run, END, "memorising", definition="published")
    >>> mixed = tables.tables_of(memorising, closed_form(config.data, d_mlp=200))
    >>> training = dataclasses.replace(mixture.MixtureConfig().training, steps=20)
    >>> data = mixture.compute(mixed, config=mixture.MixtureConfig(training=training))
    >>> dict(data.weights.sizes)
    {'start': 2, 'step': 21, 'circuit': 2}
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, TypeVar

import plotly.graph_objects as go
import torch
import typer

from analyses.announcement import Announcement
from analyses.efficiency import halves
from analyses.efficiency.mixing import gradient_flow, mixture
from analyses.efficiency.mixing.delay import summary
from analyses.efficiency.mixing.figures import plot_mixture, plot_scalars, plot_variants, table
from analyses.efficiency.mixing.landscape import compute_landscape, plot_landscape
from analyses.efficiency.mixing.runs import (
    CONTROLS,
    FRACTIONS,
    collect_runs,
    halves_tables,
    protocols,
    wanted,
)
from analyses.efficiency.mixing.tables import Tables
from analyses.efficiency.mixing.variants import (
    EFFICIENT,
    FACTORS,
    OF_HALVES,
    PUBLISHED,
    SGD,
    VARIANTS,
    Variant,
    compute,
)
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding
from grokinterp.randomness import generator
from grokinterp.sweeps.collect import collect

_T = TypeVar("_T")
_Made = TypeVar("_Made")
_MIXTURE_STEPS = {"tiny": 1200, "small": 1500, "published": 1500}


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
    networks = _usable(collect(out, halved), halves_tables, "halves", needed=False)
    groups = {
        name: (
            {seed: pair[name] for seed, pair in pairs.items()},
            {PUBLISHED: VARIANTS[PUBLISHED]} if name in CONTROLS else VARIANTS,
        )
        for name in next(iter(pairs.values()))
    }
    yield _with_factors(groups["as published"][0], steps, seeds)
    if networks:
        groups["halves of one network"] = (networks, OF_HALVES)
    for name, (tables, variants) in groups.items():
        data = compute(tables, variants, steps=steps, progress=True).assign_attrs(n_wanted=seeds)
        found = summary(data)
        fallen = f"When losses have fallen by 10 times (open: not by the end), {name}"
        figures = [plot_variants(found, title=fallen)]
        for variant, how in variants.items():
            curves = data.sel(variant=variant).assign_attrs(loss=how.loss)
            figures.append(plot_mixture(curves, title=f"{variant}, {name}"))
        if variants is VARIANTS:
            figures += _predicted(*next(iter(tables.items())), steps, name)
        rows = [{"circuits": name, **row} for row in table(found)]
        page = f"mixture-{name.replace(' ', '-')}"
        yield Finding(data=data.merge(found), figures=figures, rows=rows, name=page)


def _predicted(seed: int, tables: Tables, steps: int, name: str) -> list[go.Figure]:
    """One seed's scalars with the predicted flows, and its landscape of initial speeds."""
    figures = []
    for variant in (EFFICIENT, SGD):
        config = VARIANTS[variant].config(tables, steps=steps)
        flow = gradient_flow.predict(tables, config=config)
        title = f"Scalars and their {flow.attrs['flow']} flow: {variant}, {name}, seed {seed}"
        figures.append(plot_scalars(mixture.compute(tables, config=config), flow, title=title))
    config = VARIANTS[EFFICIENT].config(tables, steps=steps)
    return [*figures, plot_landscape(compute_landscape(tables, config=config), seed=seed)]


def _with_factors(tables: Mapping[int, Tables], steps: int, seeds: int) -> Finding:
    """The published mixture with other factors of C_mem, evaluated at every step."""
    data = compute(tables, {PUBLISHED: Variant()}, steps=steps, starts=FACTORS, every=1)
    data = data.assign_attrs(n_wanted=seeds)
    found = summary(data)
    title = "When losses have fallen by 10 times (open: not by the end), by the factor of C_mem"
    rows = [{"circuits": "as published, other factors", **row} for row in table(found)]
    figures = [plot_variants(found, title=title)]
    return Finding(data=data.merge(found), figures=figures, rows=rows, name="mixture-factors")


def _usable(
    found: Sequence[_T], make: Callable[[_T], _Made], what: str, *, needed: bool = True
) -> dict[int, _Made]:
    """``make`` of each seed's networks, by seed; seeds that it refuses are named and left out.

    If all are and they are ``needed``, the last reason is raised.
    """
    made, error = {}, None
    for seed, one in enumerate(found):
        try:
            made[seed] = make(one)
        except ValueError as reason:
            error = reason
            typer.echo(f"seed {seed} is left out, its networks are not {what}: {reason}", err=True)
    if needed and error is not None and not made:
        raise error
    return made


def _seconds(p: int, steps: int) -> float:
    """About how long all mixtures of one seed take: a fixed time and a time per step.

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

    # As published and leak-free; halves. The two controls, in one variant each, take little.
    return 2 * seconds(VARIANTS) + seconds(OF_HALVES)
