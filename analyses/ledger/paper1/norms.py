"""Figs. 5, 9-11 and 20-22: normalisation and mini-batches."""

from typing import Any

from analyses.ledger.comparisons import Bound, Crossing, Curve, Distribution, Holds, Order, Value
from analyses.ledger.entry import Entry, Read, Source, read

_NORM_RUNS = "analyses.ledger.measures.published_runs:norm_runs"
FIG5 = Source(
    name="fig5",
    compute=_NORM_RUNS,
    settings={
        "norms": ["batch", "none"],
        "train_fractions": [0.65],
        "corruption": 0.2,
        "steps": 2000,
        "log_every": 40,
    },
    seeds=5,
    tier="quick",
    minutes=1,
)
FIG20 = Source(
    name="fig20",
    compute="analyses.ledger.measures.published_runs:norm_phases",
    settings={
        "norms": ["batch", "layer", "none"],
        "train_fractions": [0.4, 0.5, 0.8],
        "corruption": 0.3,
        "steps": 8000,
        "log_every": 200,
    },
    seeds=3,
    tier="cpu",
    minutes=10,
)
_BATCHES = [256, 64, 8]
FIG9 = Source(
    name="fig9",
    compute="analyses.ledger.measures.small_diagrams:norm_diagrams",
    # Ten cells around where the networks of Figs. 20 to 22 begin to invert, at the paper's steps:
    # 2000 of 256 pairs, 8000 of 64 and 64,000 of 8.
    settings={
        "batches": _BATCHES,
        "train_fractions": [0.3, 0.4, 0.5, 0.6, 0.7],
        "corruptions": [0.2, 0.4],
    },
    seeds=3,
    tier="cpu",
    minutes=130,
)
_NORMS: dict[str, dict[str, Any]] = {"bn": {"norm": "batch"}, "nonorm": {"norm": "none"}}
_HERE: dict[str, Any] = {"train_fraction": 0.65}


def _reads(variables: dict[str, str], what: str, **at: Any) -> dict[str, Read]:
    return {
        f"p1.fig5.{name}.{what}{short}": read(variable, **_HERE, **norm, **at)
        for name, norm in _NORMS.items()
        for short, variable in variables.items()
    }


_LOSSES = {"train_loss": "train_loss", "test_loss": "test_loss"}
_ACCURACIES = {"train_acc": "train_accuracy", "test_acc": "test_accuracy"}

ENTRIES = (
    Entry(
        id="1/fig5-accuracy",
        figure="Fig. 5",
        claim="accuracies at step 2000 with BatchNorm and without",
        source=FIG5,
        reads=_reads(_ACCURACIES, "step2000.", step=2000),
        comparison=Value(absolute=0.01, spread=True),
        reason="the published value is one run: one point, or the spread of our runs",
    ),
    Entry(
        id="1/fig5-test-loss",
        figure="Fig. 5",
        claim="test loss at step 2000",
        source=FIG5,
        reads=_reads({"test_loss": "test_loss"}, "step2000.", step=2000),
        comparison=Value(relative=0.05, spread=True),
        reason="the published value is one run: 5 %, or the spread of our runs",
    ),
    Entry(
        id="1/fig5-train-loss",
        figure="Fig. 5",
        claim="train loss at step 2000",
        source=FIG5,
        reads=_reads({"train_loss": "train_loss"}, "step2000.", step=2000),
        comparison=Value(factor=1.6),
        reason="published is the loss of one mini-batch of 64, with noise of 30 % (two s.d.)",
    ),
    Entry(
        id="1/fig5-accuracy-curves",
        figure="Fig. 5",
        claim="accuracies while training",
        source=FIG5,
        reads=_reads(_ACCURACIES, "curve."),
        comparison=Curve(absolute=0.05, stretch=0.2),
        reason="seeds differ in when a curve rises, by up to 20 % of the step",
    ),
    Entry(
        id="1/fig5-loss-curves",
        figure="Fig. 5",
        claim="losses while training",
        source=FIG5,
        reads=_reads(_LOSSES, "curve."),
        comparison=Curve(relative=0.6, stretch=0.2, share=0.9),
        reason="the published train loss is of one mini-batch, with noise of 30 % (two s.d.)",
    ),
    Entry(
        id="1/fig5-crossings",
        figure="Fig. 5",
        claim="first logged step at 50, 90 and 99 %",
        source=FIG5,
        reads={
            f"p1.fig5.{name}.first_step.{subset}_acc_ge_{level:g}": read(
                "first_step", subset=subset, level=level, **_HERE, **norm
            )
            for name, norm in _NORMS.items()
            for subset, level in (("train", 0.5), ("test", 0.5), ("test", 0.9), ("test", 0.99))
        },
        comparison=Crossing(grid=40),
        reason="the crossing lies between two logged steps; 25 % beyond allows for the seed",
    ),
    Entry(
        id="1/fig5-histograms",
        figure="Fig. 5",
        claim="histograms of the IPR with BatchNorm and without",
        source=FIG5,
        reads=_reads({"hist": "ipr"}, ""),
        comparison=Distribution(distance=0.10),
        reason="a tenth of the neurons",
    ),
    Entry(
        id="1/fig5-ipr",
        figure="Fig. 5",
        claim="mean IPR of the three weights",
        source=FIG5,
        reads={
            f"p1.fig5.{name}.mean_ipr_{part}": read("part_ipr", part=part, **_HERE, **norm)
            for name, norm in _NORMS.items()
            for part in ("U", "V", "W")
        },
        comparison=Value(absolute=0.04, spread=True),
        reason="read from a figure; runs differ by .02",
    ),
    Entry(
        id="1/fig5-similar",
        figure="Fig. 5",
        claim="BatchNorm does not change the mean IPR",
        source=FIG5,
        reads={"p1.fig5.hist_similar": read("ipr_difference", **_HERE)},
        comparison=Bound(low=-0.05, high=0.05),
        reason="published difference .024; twice that",
    ),
    Entry(
        id="1/fig5-gamma",
        figure="Fig. 5",
        claim="the norm's gain grows with the IPR",
        source=FIG5,
        reads={
            "p1.fig5.gamma_ipr_correlation": read("gain_rank_correlation", **_HERE, norm="batch")
        },
        comparison=Bound(low=0.6),
        reason="no published coefficient; the bound is ours",
    ),
    Entry(
        id="1/fig5-gamma-low",
        figure="Fig. 5",
        claim="typical gain of neurons with an IPR below .1",
        source=FIG5,
        reads={"p1.fig5.gamma_low_ipr": read("gain_low", **_HERE, norm="batch")},
        comparison=Value(absolute=0.003, spread=True),
        reason="read by eye to .003",
    ),
    Entry(
        id="1/fig5-gamma-high",
        figure="Fig. 5",
        claim="typical gain of neurons with an IPR above .9",
        source=FIG5,
        reads={"p1.fig5.gamma_high_ipr": read("gain_high", **_HERE, norm="batch")},
        comparison=Value(absolute=0.005, spread=True),
        reason="read by eye to .005; the axis is cut at .06",
    ),
    Entry(
        id="1/fig5-low-ipr",
        figure="Fig. 5",
        claim="low-IPR neurons persist with BatchNorm",
        source=FIG5,
        reads={"p1.fig5.bn.low_ipr_persist": read("n_low", **_HERE, norm="batch")},
        comparison=Bound(low=150),
        reason="published 243; 60 % of that",
    ),
    Entry(
        id="1/fig5-floor",
        figure="Fig. 5",
        claim="train accuracy stays on the floor of Full Inversion",
        source=FIG5,
        reads={
            "rise of train accuracy above its floor at step 2000, no norm": read(
                "above_floor", **_HERE, norm="none"
            )
        },
        comparison=Bound(low=0.005),
        reason="30 examples of 6115",
        says="100 (1 - xi) %",
        differs="Without a norm the run reaches its floor and then climbs: memorisation creeps "
        "back, so its train accuracy at the end is not the floor.",
    ),
    *(
        Entry(
            id=f"1/fig{figure}-phases-{fraction:g}",
            figure=f"Fig. {figure}",
            claim=f"phase at alpha {fraction:g}",
            source=FIG20,
            reads={
                f"p1.fig{figure}.alpha{fraction:g}.phase": read(
                    "near_phase", norm=norm, train_fraction=fraction, phase=phase
                )
            },
            comparison=Holds(share=0.5),
            reason="the phase of most seeds; the next one counts, too, where the memorised share "
            "is within .05 of a threshold",
        )
        for figure, norm in ((20, "batch"), (21, "layer"), (22, "none"))
        for fraction, phase in (
            (0.4, "coexistence"),
            (0.5, "partial inversion"),
            (0.8, "full inversion"),
        )
    ),
    Entry(
        id="1/fig10-batches",
        figure="Figs. 9, 10",
        claim="Inversion grows as the batch shrinks",
        source=FIG9,
        reads={
            "p1.fig10.smaller_batch_more_inversion": read("inversion", norm="none", batch=_BATCHES)
        },
        comparison=Order(ascending=True),
        reason="the panels are lost; the text gives the order alone",
    ),
    *(
        Entry(
            id=f"1/fig{figure}-batches",
            figure=f"Fig. {figure}",
            claim=f"and so it does with {name}",
            source=FIG9,
            reads={
                f"cells that invert with {name}, batches of 256, 64 and 8": read(
                    "inversion", norm=norm, batch=_BATCHES
                )
            },
            comparison=Order(ascending=True),
            reason="the panels are lost; the text gives the order alone",
            says="grows",
        )
        for figure, norm, name in ((9, "batch", "BatchNorm"), (11, "layer", "LayerNorm"))
    ),
    Entry(
        id="1/fig9-norms",
        figure="Figs. 9-11",
        claim="Inversion: BatchNorm, then LayerNorm, then none",
        source=FIG9,
        reads={
            "p1.fig9_11.norm_ordering": read("inversion_of_norm", norm=["batch", "layer", "none"])
        },
        comparison=Order(ascending=False),
        reason="the panels are lost; the sum over batch sizes",
    ),
    Entry(
        id="1/fig11-gamma",
        figure="Fig. 11",
        claim="LayerNorm's gain does not separate neurons by IPR",
        source=FIG20,
        reads={
            "p1.fig11.no_gamma_effect": read(
                "gain_rank_correlation", norm="layer", train_fraction=0.8
            )
        },
        comparison=Bound(low=-0.3, high=0.3),
        reason="no published coefficient; the bound is ours",
    ),
)
