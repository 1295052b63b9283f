"""Fig. 8 and App. E: at weight decay 20 a network that has generalised collapses."""

from analyses.ledger.comparisons import Bound, Crossing, Curve, Holds, Value
from analyses.ledger.entry import Entry, Read, Source, read

FIG8 = Source(
    name="fig8",
    compute="analyses.ledger.measures.published_runs:runs_by_decay",
    settings={"decays": [[20.0, 5000]], "log_every": 100, "corruption": 0.35},
    seeds=3,
    tier="cpu",
    minutes=4,
)
FIRST_STEP = Source(  # as Fig. 8, with a row of the history after every update
    name="fig8_first_step",
    compute=FIG8.compute,
    settings={"decays": [[20.0, 20]], "log_every": 1, "corruption": 0.35},
    seeds=3,
    tier="quick",
    minutes=0.2,
)
SGD = Source(
    name="fig8_sgd",
    compute="analyses.ledger.measures.forgetting:forgetting_with_sgd",
    # A modulus of 31, since at 97 a run of SGD takes minutes and the scans have some hundred. There
    # the network generalises only with more data and less noise than in Fig. 8. A first look with
    # seed 0 and momentum .9 tried the rates 3 to 100 with decays 0, 1e-5 and 5e-5: test accuracy
    # reached .99 at 5e-5 for all rates, and stayed below .9 without decay. With AdamW the decay 15
    # forgot, and at 20 nothing generalised.
    settings={
        "p": 31,
        "d_mlp": 150,
        "train_fraction": 0.8,
        "corruption": 0.2,
        "search": {
            "momenta": [0.0, 0.9],
            "rates": [3.0, 10.0, 30.0, 100.0, 300.0],
            "decay": 5e-5,
            "steps": 1000,
        },
        "decays": [1e-5 * 2**k for k in range(9)],
        "rounds": 3,
        "steps": 4000,
        "adamw_decays": [5.0, 10.0, 15.0, 20.0],
    },
    seeds=3,
    tier="cpu",
    minutes=38,
)
_BEGIN = "p1.fig8.wd20"
_NAMES = {"train_acc": "train_accuracy", "test_acc": "test_accuracy"}
_LOSSES = {"train_loss": "train_loss", "test_loss": "test_loss"}


def _at(step: int, names: dict[str, str] = _NAMES) -> dict[str, Read]:
    return {
        f"{_BEGIN}.step{step}.{short}": read(variable, weight_decay=20.0, step=step)
        for short, variable in names.items()
    }


def _norm_of_U(*steps: int) -> dict[str, Read]:
    return {
        f"p1.fig8.norm.step{step}": read("frobenius", weight_decay=20.0, step=step, weight="U")
        for step in steps
    }


_NORM = Value(relative=0.15, spread=True)

ENTRIES = (
    Entry(
        id="1/fig8-grokked",
        figure="Fig. 8a",
        claim="accuracies at step 300, before the collapse",
        source=FIG8,
        reads=_at(300),
        comparison=Value(absolute=0.01, spread=True),
        reason="one point, or the spread of our runs",
    ),
    Entry(
        id="1/fig8-1000",
        figure="Fig. 8a",
        claim="accuracies at step 1000, while it collapses",
        source=FIG8,
        reads=_at(1000),
        comparison=Value(absolute=0.15, spread=True),
        reason="the timing of the collapse varies between runs",
    ),
    Entry(
        id="1/fig8-2000",
        figure="Fig. 8a",
        claim="accuracies at step 2000",
        source=FIG8,
        reads=_at(2000),
        comparison=Value(absolute=0.15, spread=True),
        reason="the timing of the collapse varies between runs",
    ),
    Entry(
        id="1/fig8-2700",
        figure="Fig. 8a",
        claim="accuracies at step 2700 are at chance",
        source=FIG8,
        reads=_at(2700),
        comparison=Value(equals=1 / 97, absolute=0.01),
        reason="one point around 1/97",
    ),
    Entry(
        id="1/fig8-loss",
        figure="Fig. 8a",
        claim="final losses are those of a network whose outputs are all zero",
        source=FIG8,
        reads=_at(5000, _LOSSES),
        comparison=Value(absolute=1e-6),
        reason="float32 rounding of 1/97",
    ),
    Entry(
        id="1/fig8-end",
        figure="Fig. 8a",
        claim="final accuracies: the share of label 0 in each set",
        source=FIG8,
        reads=_at(5000),
        comparison=Value(absolute=1e-4),
        reason="counts of the authors' split; half an example",
        differs="Equal outputs are answered by the first class, so the accuracies of the collapsed "
        "network are the share of label 0, .0091 and .0108, and not those of random guesses.",
    ),
    Entry(
        id="1/fig8-accuracy-curves",
        figure="Fig. 8a",
        claim="accuracies while training",
        source=FIG8,
        reads={
            f"{_BEGIN}.curve.{short}": read(variable, weight_decay=20.0)
            for short, variable in _NAMES.items()
        },
        comparison=Curve(absolute=0.1, stretch=0.2),
        reason="runs collapse at times that differ by 20 %",
    ),
    Entry(
        id="1/fig8-loss-curves",
        figure="Fig. 8a",
        claim="losses while training",
        source=FIG8,
        reads={
            f"{_BEGIN}.curve.{short}": read(variable, weight_decay=20.0)
            for short, variable in _LOSSES.items()
        },
        comparison=Curve(relative=0.1, stretch=0.2),
        reason="runs collapse at times that differ by 20 %",
    ),
    Entry(
        id="1/fig8-crossings",
        figure="Fig. 8a",
        claim="first logged step at 50, 90 and 99 %",
        source=FIG8,
        reads={
            f"{_BEGIN}.first_step.{subset}_acc_ge_{level:g}": read(
                "first_step", weight_decay=20.0, subset=subset, level=level
            )
            for subset in ("train", "test")
            for level in (0.5, 0.9, 0.99)
        },
        comparison=Crossing(grid=100),
        reason="the crossing lies between two logged steps; 25 % beyond allows for the seed",
    ),
    Entry(
        id="1/fig8b-norms",
        figure="Fig. 8b",
        claim="Frobenius norm of U until step 2000",
        source=FIG8,
        reads=_norm_of_U(100, 300, 1000, 1500, 2000),
        comparison=_NORM,
        reason="read to .15; 15 % for the timing of the collapse",
    ),
    Entry(
        id="1/fig8b-first-norm",
        figure="Fig. 8b",
        claim="Frobenius norm of U after one update: decay multiplies it by .8, Adam adds a step",
        source=FIRST_STEP,
        reads=_norm_of_U(1),
        comparison=_NORM,
        reason="read to .15, and as close as the later norms",
    ),
    Entry(
        id="1/fig8b-late-norms",
        figure="Fig. 8b",
        claim="Frobenius norm of U at the end of the collapse",
        source=FIG8,
        reads=_norm_of_U(2500, 2700),
        comparison=Value(absolute=0.6, spread=True),
        reason="the norm falls from 2.7 to 0 over 700 steps: 15 % of the step is a norm of .6",
    ),
    Entry(
        id="1/fig8-collapse",
        figure="App. E",
        claim="accuracies fall after the network has generalised, and all weights vanish",
        source=FIG8,
        reads={"p1.fig8.collapse_after_grokking": read("collapses", weight_decay=20.0)},
        comparison=Holds(),
        reason="the claim is about every run; its bounds are those of the published value",
    ),
    Entry(
        id="1/fig8-sgd",
        figure="App. E",
        claim="Forgetting occurs only with adaptive optimisers",
        source=SGD,
        reads={"p1.fig8.adaptive_only": read("forgotten")},
        comparison=Value(equals=0.0),
        reason="a count of runs",
    ),
    Entry(
        id="1/fig8-sgd-valid",
        figure="App. E",
        claim="the runs of SGD could have forgotten",
        source=SGD,
        reads={
            "runs of SGD that generalise": read("generalised", optimiser="sgd"),
            "runs of AdamW that forget, same network and data": read("forgot", optimiser="adamw"),
        },
        comparison=Bound(low=3),
        reason="the seeds of at least one setting; with fewer the count of zero says nothing",
        says="not stated",
    ),
    Entry(
        id="1/fig8-sgd-objective",
        figure="App. E",
        claim="why: SGD descends the regularised loss, which is lower than that of zero weights",
        source=SGD,
        reads={"largest ratio of the two at a run's best test accuracy": read("largest_objective")},
        comparison=Bound(high=1.0),
        reason="from below, gradient descent in small steps cannot come up to zero weights",
        says="only adaptive optimisers",
    ),
)
