"""The networks on which Hypothesis 2.2 is tried: four architectures, clean and corrupted, controls.

``python -m analyses.hypothesis.architectures OUT`` trains those that are not in OUT yet, a quarter
of an hour on two cores for all of them, and puts them to the test; kill it at any moment and call
it again.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

import grokinterp as gi
from analyses.announce import announce
from analyses.errors import clear_errors
from analyses.options import EstimateOnly
from analyses.pages.script import write_figures
from grokinterp._short import short
from grokinterp.sweeps.collect import Named, collect, folder_name

P = 59  # small enough that most grok within minutes, and prime
CORRUPTION = 0.2
_DATA = gi.DataConfig(p=P, train_fraction=0.8)

# The settings are the first that grokked with and without corruption in a coarse scan over learning
# rate and weight decay; nothing about periodicity was looked at in choosing them.
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
            steps=1500, lr=3e-3, weight_decay=3.0, batch_size=512, loss="cross_entropy",
            eval_every=20,
        ),
    ),
}  # fmt: skip


def _controls() -> dict[str, gi.RunConfig]:
    mlp = SETTINGS["quadratic MLP"]
    return {
        "memorised": mlp.replace(
            {"data.train_fraction": 0.3, "data.corruption": 0.5, "training.weight_decay": 0.0}
        ),
        "random labels": mlp.replace({"data.corruption": 1.0, "training.weight_decay": 0.0}),
        "multiplication": mlp.replace({"data.operation": "multiplication"}),
    }


CONTROLS = _controls()  # one seed each


def wanted(names: Sequence[str], seeds: int) -> Iterator[Named]:
    """The runs of some settings: clean and corrupted, each seed drawing data and weights anew."""
    for name in names:
        if name in CONTROLS:
            yield Named(folder_name(name), CONTROLS[name])
            continue
        for corruption in (0.0, CORRUPTION):
            for seed in range(seeds):
                changes = {"data.corruption": corruption, "data.seed": seed, "seed": seed}
                label = f"{name}, {corruption:.0%} corrupted" if corruption else name
                yield Named(folder_name(label, "seed", seed), SETTINGS[name].replace(changes))


def main(
    out: Annotated[Path, typer.Argument(help="folder with one folder per run")],
    only: Annotated[list[str] | None, typer.Option(help=f"of {', '.join(SETTINGS)}, ...")] = None,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    estimate_only: EstimateOnly = False,
) -> None:
    """Train the networks that are missing, then test Hypothesis 2.2 on all."""
    from analyses import hypothesis
    from analyses.hypothesis.figures import verdict_line

    with clear_errors():
        known = (*SETTINGS, *CONTROLS)
        for name in only or ():
            if name not in known:
                raise ValueError(
                    f"--only {short(name)} is unknown; settings are {', '.join(known)}"
                )
        runs = list(wanted(only or known, seeds))
        announce(out, runs, only=estimate_only)
        data = hypothesis.compute(collect(out, runs), progress=True)
        rows = hypothesis.table(data)
        figures = [
            hypothesis.plot_table(rows), hypothesis.plot_verdicts(data),
            hypothesis.plot_spectra(data),
        ]  # fmt: skip
        write_figures("hypothesis", out, out / "hypothesis.html", data, figures)
        for row in rows:
            typer.echo(verdict_line(row))


if __name__ == "__main__":
    typer.run(main)
