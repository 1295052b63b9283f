"""Figs. 1 and 2 and the abstract: accuracies, losses, norms and IPR of four trained networks."""

from typing import Any

from analyses.ledger.comparisons import (
    Bound,
    Comparison,
    Crossing,
    Curve,
    Distribution,
    Holds,
    Order,
    Value,
)
from analyses.ledger.entry import Entry, Read, Source, read

_MEASURES = "analyses.ledger.measures.published_runs"
DECAYS = Source(
    name="fig1",
    compute=f"{_MEASURES}:runs_by_decay",
    settings={
        "decays": [[0.0, 1000], [5.0, 500], [15.0, 500]],  # weight decay, steps: the notebook's
        "log_every": 10,
        "corruption": 0.35,
        "prune": True,
    },
    seeds=5,
    tier="cpu",
    minutes=4,
)
CLEAN = Source(
    name="fig2",
    compute=f"{_MEASURES}:runs_by_decay",
    settings={"decays": [[5.0, 100]], "log_every": 2, "corruption": 0.0},
    seeds=5,
    tier="quick",
    minutes=0.3,
)
WRONG_ONLY = Source(
    name="wrong_labels_only",
    compute="analyses.ledger.measures.memory_controls:wrong_labels_only",
    settings={"decays": [[0.0, 1000], [5.0, 500], [15.0, 500]], "corruption": 0.35},
    seeds=5,
    tier="cpu",
    minutes=1.5,
)

_SPREAD = "the published value is one run whose initial weights are not known: it may lie within "
_ACCURACIES = {"train_acc": "train_accuracy", "test_acc": "test_accuracy"}
_LOSSES = {"train_loss": "train_loss", "test_loss": "test_loss"}
_PANELS = (  # figure, beginning of the ids, weight decay, steps, steps between logged ones
    ("Fig. 1a", "p1.fig1.wd0", 0.0, 1000, 20),
    ("Fig. 1b", "p1.fig1.wd5", 5.0, 500, 10),
    ("Fig. 1c", "p1.fig1.wd15", 15.0, 500, 10),
    ("Fig. 2a", "p1.fig2.xi0.wd5", 5.0, 100, 2),
)


def _of_panel(
    figure: str, begin: str, decay: float, steps: int, grid: int, source: Source
) -> list[Entry]:
    """Final values, curves and crossings of one panel."""
    name = "1/" + begin.removeprefix("p1.").replace(".", "-")
    here: dict[str, Any] = {"weight_decay": decay}
    never = {("p1.fig1.wd0", "test", 0.99)}  # the published run does not reach it

    def final(names: dict[str, str]) -> dict[str, Read]:
        return {
            f"{begin}.step{steps}.{short}": read(variable, step=steps, **here)
            for short, variable in names.items()
            if (short, decay) != ("train_acc", 15.0)
            and (short, decay, source.name) != ("train_acc", 5.0, "fig1")
        }

    def curve(names: dict[str, str]) -> dict[str, Read]:
        return {
            f"{begin}.curve.{short}": read(variable, **here) for short, variable in names.items()
        }

    return [
        Entry(
            id=f"{name}-accuracy",
            figure=figure,
            claim=f"accuracies at step {steps}",
            source=source,
            reads=final(_ACCURACIES),
            comparison=Value(absolute=0.01, spread=True),
            reason=_SPREAD + "one point, or the spread of our runs",
        ),
        Entry(
            id=f"{name}-loss",
            figure=figure,
            claim=f"losses at step {steps}",
            source=source,
            reads=final(_LOSSES),
            comparison=Value(relative=0.05, spread=True),
            reason=_SPREAD + "5 %, or the spread of our runs",
        ),
        Entry(
            id=f"{name}-accuracy-curve",
            figure=figure,
            claim="accuracies while training",
            source=source,
            reads=curve(_ACCURACIES),
            comparison=Curve(absolute=0.05, stretch=0.2),
            reason="seeds differ in when a curve rises, by up to 20 % of the step, and by a few "
            "points on plateaus",
        ),
        Entry(
            id=f"{name}-loss-curve",
            figure=figure,
            claim="losses while training",
            source=source,
            reads=curve(_LOSSES),
            comparison=Curve(relative=0.15, stretch=0.2),
            reason="as for the accuracies; the published train loss is from before the step",
        ),
        Entry(
            id=f"{name}-crossings",
            figure=figure,
            claim="first logged step at 50, 90 and 99 %",
            source=source,
            reads={
                f"{begin}.first_step.{subset}_acc_ge_{level:g}": read(
                    "first_step", subset=subset, level=level, **here
                )
                for subset in ("train", "test")
                for level in (0.5, 0.9, 0.99)
                if (begin, subset, level) not in never
            },
            comparison=Crossing(grid=grid),
            reason="the crossing lies between two logged steps; 25 % beyond allows for the seed",
        ),
    ]


def _one(
    name: str,
    figure: str,
    claim: str,
    reads: dict[str, Read],
    comparison: Comparison,
    reason: str,
    *,
    source: Source = DECAYS,
    says: str = "",
    differs: str = "",
) -> Entry:
    return Entry(
        id=f"1/{name}",
        figure=figure,
        claim=claim,
        reads=reads,
        comparison=comparison,
        reason=reason,
        source=source,
        says=says,
        differs=differs,
    )


ENTRIES = (
    *(
        entry
        for panel in _PANELS
        for entry in _of_panel(*panel, source=CLEAN if panel[0] == "Fig. 2a" else DECAYS)
    ),
    _one(
        "fig1b-train",
        "Fig. 1b",
        "train accuracy in Partial Inversion",
        {
            "p1.fig1.wd5.step500.train_acc": read("train_accuracy", weight_decay=5.0, step=500),
            "p1.fig1.wd5.step200.train_acc": read("train_accuracy", weight_decay=5.0, step=200),
            "p1.fig1.wd5.step290.train_acc": read("train_accuracy", weight_decay=5.0, step=290),
        },
        Value(absolute=0.03, spread=True),
        "train accuracy drifts in this phase, by 3 points between seeds",
    ),
    _one(
        "fig1c-train",
        "Fig. 1c",
        "train accuracy in Full Inversion is a count",
        {
            "p1.fig1.wd15.step500.train_acc": read("train_accuracy", weight_decay=15.0, step=500),
            "p1.fig1.wd15.plateau_formula": read("train_accuracy", weight_decay=15.0, step=500),
        },
        Value(equals=1 - 1629 / 4704, absolute=2 / 4704),
        "1629 of 4704 labels are wrong; two examples of slack",
    ),
    _one(
        "fig1a-peak",
        "Fig. 1a",
        "test accuracy at its peak",
        {"p1.fig1.wd0.step540.test_acc": read("test_accuracy", weight_decay=0.0, step=540)},
        Value(absolute=0.01, spread=True),
        _SPREAD + "one point",
    ),
    _one(
        "abstract-full",
        "Abstract",
        "at weight decay 15 the network first memorises, then unlearns all wrong labels",
        {"p1.fig1.wd15.two_stage": read("unlearns_all", weight_decay=15.0)},
        Holds(),
        "the order of the stages is a claim about every run",
    ),
    _one(
        "abstract-part",
        "Abstract",
        "at weight decay 5 it unlearns a part of them",
        {"p1.fig1.wd5.two_stage": read("unlearns_part", weight_decay=5.0)},
        Holds(),
        "the order of the stages is a claim about every run",
    ),
    _one(
        "abstract-coexistence",
        "Abstract",
        "100 % generalisation with full memorisation",
        {"p1.abstract.coexistence_100": read("train_accuracy", weight_decay=0.0, step=1000)},
        Value(equals=0.978, absolute=0.01),
        "the notebook's own number, one point",
        differs="The authors' notebook ends at 98.3 % test and 97.8 % train accuracy with 93.8 % "
        "of the redrawn labels known, and so do our runs: close to, but not, 100 % of both.",
    ),
    _one(
        "fig1-gap",
        "Fig. 1",
        "test accuracy exceeds train accuracy once there is weight decay",
        {"p1.fig1.negative_gap": read("final_gap", weight_decay=[5.0, 15.0])},
        Bound(low=0.1, every=True),
        "published gaps are .21 and .35",
    ),
    _one(
        "fig1-order",
        "Fig. 1",
        "final train accuracy falls with weight decay",
        {"p1.fig1.ordering_train_acc": read("final_train")},
        Order(ascending=False),
        "the order of the means over seeds",
    ),
    _one(
        "fig1c-true-labels",
        "Fig. 1c",
        "changed examples are answered with their true label",
        {"p1.fig1.recovers_true_labels": read("answers_true", weight_decay=15.0)},
        Bound(low=0.95),
        "no published number; the bound is ours",
    ),
    *(
        _one(
            f"fig1-norms-{decay:g}",
            figure,
            f"Frobenius norms of the weights at step {steps}",
            {
                f"{begin}.step{steps}.norm_{weight}": read(
                    "frobenius", weight_decay=decay, step=steps, weight=weight
                )
                for weight in ("U", "V", "W")
            },
            Value(relative=0.05, spread=True),
            "read from a figure to .15; runs differ by a few per cent",
        )
        for figure, begin, decay, steps, _ in _PANELS[:3]
    ),
    _one(
        "fig1-wrong-plateau",
        "Fig. 1c",
        "with wrong labels only, train accuracy in Full Inversion is 1 - xi",
        {
            "train accuracy minus 1 - xi, every redrawn label wrong": read(
                "over_plateau", weight_decay=15.0
            )
        },
        Bound(low=-0.001, high=0.001, every=True),
        "five of 4704 labels; with labels redrawn from all classes the difference is xi / p, .0036",
        source=WRONG_ONLY,
        says="100 (1 - xi) %",
    ),
    *(
        _one(
            f"fig1-wrong-{decay:g}",
            figure,
            f"the phase is {phase}, too, with wrong labels only",
            {
                f"{phase}, weight decay {decay:g}, every redrawn label wrong": read(
                    "in_phase", weight_decay=decay, phase=phase
                )
            },
            Holds(share=0.5),
            "the phase of most seeds",
            source=WRONG_ONLY,
            says="no control",
        )
        for figure, decay, phase in (
            ("Fig. 1a", 0.0, "coexistence"),
            ("Fig. 1b", 5.0, "partial inversion"),
            ("Fig. 1c", 15.0, "full inversion"),
        )
    ),
    _one(
        "fig1c-balance",
        "Fig. 1c",
        "under strong decay the three norms become equal",
        {"p1.fig1.wd15.norm_balance": read("norm_imbalance", weight_decay=15.0)},
        Bound(high=0.03),
        "read from a figure to 1 %",
    ),
    _one(
        "fig2a-ipr",
        "Fig. 2a",
        "mean IPR while training",
        {"p1.fig2.ipr.curve": read("mean_ipr", weight_decay=5.0)},
        Curve(absolute=0.03, stretch=0.1),
        "read to .005; seeds differ by a few steps where it rises by .03 in two steps",
        source=CLEAN,
    ),
    _one(
        "fig2a-ipr-end",
        "Fig. 2a",
        "mean IPR at the end",
        {"p1.fig2.step100.mean_ipr": read("mean_ipr", weight_decay=5.0, step=100)},
        Value(absolute=0.03, spread=True),
        "read to .005; the spread of our runs",
        source=CLEAN,
    ),
    _one(
        "fig2a-ipr-start",
        "Fig. 2a",
        "mean IPR at the start",
        {"p1.fig2.step1.mean_ipr": read("mean_ipr", weight_decay=5.0, step=0)},
        Value(absolute=0.003),
        "1500 rows of noise",
        source=CLEAN,
    ),
    _one(
        "fig2a-ipr-rises",
        "Fig. 2a",
        "mean IPR never falls",
        {"p1.fig2.ipr_rises": read("ipr_rises", weight_decay=5.0)},
        Holds(),
        "the claim is about every run",
        source=CLEAN,
    ),
    _one(
        "fig2a-delay",
        "Fig. 2a",
        "test accuracy lags behind train accuracy",
        {"p1.fig2.grokking_delay": read("delay", weight_decay=5.0)},
        Bound(low=1.8, every=True),
        "published 42 / 20 steps, on a grid of two steps",
        source=CLEAN,
    ),
    _one(
        "fig2b-amplitude",
        "Fig. 2b",
        "amplitude of a periodic row",
        {"p1.fig2.row_amplitude": read("amplitude", weight_decay=5.0)},
        Value(absolute=0.03, spread=True),
        "read to .01, of one neuron; neurons differ by .02",
        source=CLEAN,
    ),
    _one(
        "fig2c-before",
        "Fig. 2c",
        "histogram of the IPR before training",
        {"p1.fig2.hist_before": read("initial_ipr", weight_decay=5.0)},
        Distribution(distance=0.10),
        "a tenth of the neurons",
        source=CLEAN,
    ),
    _one(
        "fig2c-after",
        "Fig. 2c",
        "histogram of the IPR after training",
        {"p1.fig2.hist_after": read("ipr", weight_decay=5.0)},
        Distribution(distance=0.10),
        "a tenth of the neurons",
        source=CLEAN,
    ),
)
