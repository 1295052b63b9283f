"""The networks on which Hypothesis 2.2 is tested: four architectures and three controls.

``grokinterp run architectures OUT`` trains the networks that are missing in OUT (a quarter of an
hour on two cores for all of them) and tests the hypothesis on each. It can be interrupted and
started again at any time.

Examples:
    >>> from analyses.hypothesis.architectures import SETTINGS, wanted
    >>> list(SETTINGS)
    ['quadratic MLP', '3-layer ReLU MLP', '1-layer transformer', '2-layer LSTM']
    >>> runs = wanted(["quadratic MLP"], seeds=2)  # clean and corrupted
    >>> [(named.config.data.corruption, named.config.seed) for named in runs]
    [(0.0, 0), (0.0, 1), (0.2, 0), (0.2, 1)]
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

import grokinterp as gi
from analyses import hypothesis
from analyses.announcement import Announcement
from analyses.options import Out, Seeds
from analyses.pages.finding import Finding
from grokinterp.short_text import short
from grokinterp.sweeps.collect import Named, collect, folder_name

P = 59  # a prime small enough that most networks grok within minutes
CORRUPTION = 0.2
_DATA = gi.DataConfig(p=P, train_fraction=0.8)

# The first settings that grokked with and without corruption in a coarse scan over learning rate
# and weight decay. Periodicity was not considered in choosing them.
SETTINGS: dict[str, gi.RunConfig] = {
    "quadratic MLP": gi.RunConfig(
        data=_DATA,
        model=gi.MLPConfig(d_mlp=256),
        training=gi.TrainConfig(steps=1000, lr=1e-2, weight_decay=5.0),
    ),
    "3-layer ReLU MLP": gi.RunConfig(
        data=_DATA,
        model=gi.MLPConfig(d_mlp=256, n_layers=2, act="relu", init="standard"),
        training=gi.TrainConfig(steps=1000, lr=3e-3, weight_decay=10.0),
    ),
    "1-layer transformer": gi.RunConfig(
        data=dataclasses.replace(_DATA, p=83),  # at 59 some seeds get stuck halfway
        model=gi.TransformerConfig.paper1(),
        training=gi.TrainConfig(steps=500, lr=3e-3, weight_decay=4.0, eval_every=20),
    ),
    "2-layer LSTM": gi.RunConfig(
        data=_DATA,
        model=gi.LSTMConfig(),
        training=gi.TrainConfig(
            steps=1500,
            lr=3e-3,
            weight_decay=3.0,
            batch_size=512,
            loss="cross_entropy",
            eval_every=20,
        ),
    ),
}
_UNREGULARISED = SETTINGS["quadratic MLP"].replace({"training.weight_decay": 0.0})
CONTROLS = {  # one seed each
    "memorised": _UNREGULARISED.replace({"data.train_fraction": 0.3, "data.corruption": 0.5}),
    "random labels": _UNREGULARISED.replace({"data.corruption": 1.0}),
    "multiplication": SETTINGS["quadratic MLP"].replace({"data.operation": "multiplication"}),
}


def wanted(names: Sequence[str], seeds: int) -> Iterator[Named]:
    """The runs of some settings, clean and corrupted; a seed determines both data and weights."""
    for name in names:
        if name in CONTROLS:
            yield Named(folder_name(name), CONTROLS[name])
            continue
        for corruption in (0.0, CORRUPTION):
            for seed in range(seeds):
                changes = {"data.corruption": corruption, "data.seed": seed, "seed": seed}
                label = f"{name}, {corruption:.0%} corrupted" if corruption else name
                yield Named(folder_name(label, "seed", seed), SETTINGS[name].replace(changes))


def experiment(
    out: Out,
    only: Annotated[list[str] | None, typer.Option(help=f"of {', '.join(SETTINGS)}, ...")] = None,
    seeds: Seeds = 3,
) -> Iterator[Announcement | Finding]:
    """Train four architectures and three controls, then test Hypothesis 2.2 on all of them."""
    known = (*SETTINGS, *CONTROLS)
    for name in only or ():
        if name not in known:
            raise ValueError(f"--only {short(name)} is unknown; settings are {', '.join(known)}")
    runs = list(wanted(only or known, seeds))
    yield Announcement.of(out, runs)
    data = hypothesis.compute(collect(out, runs), progress=True)
    rows = hypothesis.table(data)
    figures = [hypothesis.plot_verdicts(data), hypothesis.plot_spectra(data)]
    figures.insert(0, hypothesis.plot_table(rows))
    sentences = [hypothesis.verdict_line(row) for row in rows]
    yield Finding(data=data, figures=figures, rows=sentences, name="hypothesis")
