"""The networks on which Hypothesis 2.2 is tried: four architectures, clean and corrupted, controls.

``python -m analyses.architectures OUT`` trains those that are not in OUT yet, a quarter of an hour
on two cores for all of them, and puts them to the test; kill it at any moment and call it again.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

import grokinterp as gi
from analyses.errors import clear_errors
from analyses.script import write_figures

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


@dataclasses.dataclass(frozen=True)
class Named:
    """A run to be made, and the folder it gets."""

    folder: str
    label: str
    config: gi.RunConfig


def wanted(names: Sequence[str], seeds: int) -> Iterator[Named]:
    """The runs of some settings: clean and corrupted, each seed drawing data and weights anew."""
    for name in names:
        if name in CONTROLS:
            yield Named(name.replace(" ", "-"), name, CONTROLS[name])
            continue
        for corruption in (0.0, CORRUPTION):
            for seed in range(seeds):
                changes = {"data.corruption": corruption, "data.seed": seed, "seed": seed}
                label = f"{name}, {corruption:.0%} corrupted" if corruption else name
                folder = f"{label} seed {seed}".replace(", ", "-").replace(" ", "-")
                yield Named(folder.replace("%", ""), label, SETTINGS[name].replace(changes))


def collect(out: Path, names: Sequence[str] = (*SETTINGS, *CONTROLS), seeds: int = 3) -> list[Path]:
    """Train what is not there yet, each run saved as soon as its stack is done; all folders.

    Raises:
        RunFolderError: a folder holds a run of another config.
    """
    found = list(wanted(names, seeds))
    missing = [run for run in found if not (out / run.folder / "run.json").is_file()]
    for run in found:  # before minutes of training, not after
        if run not in missing and gi.Run.load(out / run.folder).config != run.config:
            raise gi.RunFolderError(
                f"{out / run.folder} was trained with other settings; move it or choose another OUT"
            )
    for label in dict.fromkeys(run.label for run in missing):
        group = [run for run in missing if run.label == label]
        for run, trained in zip(group, gi.train_many([g.config for g in group]), strict=True):
            trained.save(out / run.folder)
    return [out / run.folder for run in found]


def main(
    out: Annotated[Path, typer.Argument(help="folder with one folder per run")],
    only: Annotated[list[str] | None, typer.Option(help=f"of {', '.join(SETTINGS)}, ...")] = None,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Train the networks that are missing, then test Hypothesis 2.2 on all."""
    from analyses import hypothesis

    with clear_errors():
        known = (*SETTINGS, *CONTROLS)
        for name in only or ():
            if name not in known:
                raise ValueError(f"--only {name!r} is unknown; settings are {', '.join(known)}")
        folders = collect(out, only or known, seeds)
        data = hypothesis.compute([gi.Run.load(folder) for folder in folders])
        rows = hypothesis.table(data)
        figures = [
            hypothesis.plot_table(rows), hypothesis.plot_verdicts(data),
            hypothesis.plot_spectra(data),
        ]  # fmt: skip
        write_figures("hypothesis", out, out / "hypothesis.html", data, figures)
        for row in rows:
            typer.echo(
                f"{row['architecture']:24} {row['operation']:14} "
                f"corruption {row['corruption']:.1f} seed {row['seed']!s:8} "
                f"accuracy {row['accuracy']:.3f}  {row['verdict']}"
            )


if __name__ == "__main__":
    typer.run(main)
