"""Figs. 3, 24-31: phase diagrams over train fraction and corruption.

The panels of the published diagrams are lost, so what is compared is what the text says of them.
Cells are compared by the majority phase of three seeds, unless an entry says otherwise: those of
the size "small" (9 x 10) for Fig. 3a, "coarse" (5 x 5) where two diagrams are compared. Fig. 3b has
one seed. Matrix products are of bfloat16 operands; ``docs/how_to/phase_diagram.md`` says which
share of cells changes its phase in float32.
"""

from typing import Any

from analyses.ledger.comparisons import Bound, Order, Region
from analyses.ledger.entry import Entry, Source, read

_DIAGRAMS = "analyses.ledger.measures.diagrams:diagrams"


def _source(
    name: str, minutes: float, *, seeds: int = 3, tier: str = "cpu", **settings: Any
) -> Source:
    return Source(
        name=name,
        compute=_DIAGRAMS,
        settings={"precision": "bfloat16", **settings},
        seeds=seeds,
        tier=tier,
        minutes=minutes,
        runs="",  # they share the sweep of Fig. 3a
    )


def _pair(name: str, *names: str, minutes: float, tier: str = "cpu") -> Source:
    """Diagrams that are compared with each other, at few cells."""
    grids = {"fig3a": "small"} if "fig3a" in names else {}
    return _source(
        name, minutes, tier=tier, names=list(names), size="coarse", grids=grids, neurons=True
    )


BAND = Source(
    name="inversion_band",
    compute="analyses.ledger.measures.label_noise:inversion_band",
    experiment="inversion_band",
    settings={"size": "published"},
    seeds=3,
    tier="cpu",
    minutes=40,
)
DECAY = _source("fig3a", 180, names=["fig3a"], size="small", neurons=True)
DROPOUT = _source("fig3b", 75, names=["fig3b"], size="small", neurons=True, seeds=1)
CROSS_ENTROPY = _pair("fig26", "fig3a", "fig26-weight-decay", "fig26-dropout", minutes=120)
RELU = _pair("fig27", "fig3a", "fig27", minutes=60)
RELU_DROPOUT = _pair("fig28", "fig3b", "fig28", minutes=120)
MULTIPLICATION = _pair("fig31", "fig3a", "fig31", minutes=60)
WIDE = _pair("fig29", "fig3a", "fig29", minutes=120, tier="gpu")
WIDE_RELU = _pair("fig30", "fig27", "fig30", minutes=120, tier="gpu")

_3A, _3B = {"preset": "fig3a"}, {"preset": "fig3b"}
_SIGN = "the panels are lost; the text gives the order alone"

ENTRIES = (
    Entry(
        id="1/fig3-plateau",
        figure="Fig. 3a",
        claim="train accuracy in Full Inversion is 1 - xi + xi/p",
        source=DECAY,
        reads={
            "p1.fig3.full_inversion_plateau": read("plateau_error", **_3A, panel=2),
        },
        comparison=Bound(high=0.01),
        reason="one point, in every cell of Full Inversion at weight decay 15",
    ),
    Entry(
        id="1/fig3a-present",
        figure="Fig. 3a",
        claim="without decay there are Memorization, Coexistence and Partial Inversion",
        source=DECAY,
        reads={"p1.fig3a.wd0.phases_present": read("least_present", **_3A, panel=0)},
        comparison=Region(low=1),
        reason="three cells of the full grid are one of the small one",
    ),
    Entry(
        id="1/fig3a-partial",
        figure="Fig. 3a",
        claim="Partial Inversion without decay needs more data than Coexistence",
        source=DECAY,
        reads={
            "p1.fig3a.wd0.partial_inversion_at_large_alpha": read(
                "mean_alpha", **_3A, panel=0, phase=["coexistence", "partial inversion"]
            )
        },
        comparison=Order(ascending=True),
        reason=_SIGN,
    ),
    Entry(
        id="1/fig3a-full",
        figure="Fig. 3a",
        claim="Full Inversion grows with weight decay",
        source=DECAY,
        reads={
            "p1.fig3a.full_inversion_emerges": read(
                "cells", **_3A, panel=[0, 1, 2], phase="full inversion"
            )
        },
        comparison=Order(ascending=True),
        reason=_SIGN + "; 20 is left out, where Forgetting replaces a part of it",
    ),
    Entry(
        id="1/fig3a-boundary",
        figure="Fig. 3a",
        claim="the boundary of generalisation moves to less data with decay",
        source=DECAY,
        reads={"p1.fig3a.boundary_shift": read("boundary", **_3A, panel=[0, 1, 2])},
        comparison=Order(ascending=False, least=-0.1),
        reason="the median over corruptions; one grid step of slack",
    ),
    Entry(
        id="1/fig3a-forgetting",
        figure="Fig. 3a",
        claim="Forgetting at weight decay 20",
        source=DECAY,
        reads={
            "p1.fig3a.wd20.forgetting": read("cells", **_3A, panel=3, phase="forgetting"),
        },
        comparison=Region(low=1),
        reason=_SIGN,
    ),
    Entry(
        id="1/fig3a-corner",
        figure="Fig. 3a",
        claim="little data and much corruption give Memorization",
        source=DECAY,
        reads={"p1.fig3a.memorization_corner": read("corner", **_3A, panel=0)},
        comparison=Region(low=0.9),
        reason="at least 90 % of the cells with alpha up to .2 and xi from .5",
    ),
    Entry(
        id="1/fig3a-robust",
        figure="Fig. 3a",
        claim="the largest corruption that generalises grows with the data",
        source=DECAY,
        reads={"p1.fig3.larger_alpha_more_robust": read("xi_falls", **_3A, panel=[0, 1, 2])},
        comparison=Region(high=1),
        reason="one grid step of slack; Forgetting at 20 is left out",
    ),
    Entry(
        id="1/fig3b-inversion",
        figure="Fig. 3b",
        claim="dropout produces Inversion",
        source=DROPOUT,
        reads={"p1.fig3b.dropout_inversion": read("inversion", **_3B, panel=[0, 1, 2])},
        comparison=Order(ascending=True),
        reason=_SIGN,
    ),
    Entry(
        id="1/fig3b-confusion",
        figure="Fig. 3b",
        claim="Confusion at very high dropout",
        source=DROPOUT,
        reads={
            "p1.fig3b.dp0.9.confusion": read("cells", **_3B, panel=[2, 3], phase="confusion"),
        },
        comparison=Order(ascending=True),
        reason=_SIGN,
    ),
    Entry(
        id="1/fig24",
        figure="Figs. 24, 25",
        claim="the diagram follows from the accuracies behind it",
        source=DECAY,
        reads={"p1.fig24_25.same_data": read("consistent", **_3A)},
        comparison=Region(low=1),
        reason="the phases are computed from the stored accuracies",
    ),
    Entry(
        id="1/fig8-only-grokked",
        figure="App. E",
        claim="only networks that generalised forget",
        source=DECAY,
        reads={"p1.fig8.only_grokked": read("forgot", **_3A, panel=3)},
        comparison=Region(high=2),
        reason="5 % of the runs that memorise",
    ),
    Entry(
        id="1/fig26-band",
        figure="Fig. 26",
        claim="with cross-entropy only a narrow band of weight decay inverts",
        source=BAND,
        reads={"p1.fig26.narrow_band": read("width", loss=["cross_entropy", "mse"])},
        comparison=Order(ascending=True),
        reason="narrow: the edges' ratio is smaller than with squared error, each bisected to 9 %",
    ),
    Entry(
        id="1/fig26-forgetting",
        figure="Fig. 26",
        claim="no Forgetting with cross-entropy",
        source=CROSS_ENTROPY,
        reads={
            "p1.fig26.no_forgetting": read(
                "cells", preset="fig26-weight-decay", panel=[0, 1, 2, 3], phase="forgetting"
            )
        },
        comparison=Region(high=0),
        reason="a count; the paper's decays are lost, ours surround its band",
    ),
    Entry(
        id="1/fig26-robust",
        figure="Fig. 26",
        claim="cross-entropy is less robust than the squared error",
        source=CROSS_ENTROPY,
        reads={"p1.fig26.less_robust": read("most_xi", preset=["fig26-weight-decay", "fig3a"])},
        comparison=Order(ascending=True),
        reason=_SIGN,
    ),
    Entry(
        id="1/fig26-dropout",
        figure="Fig. 26",
        claim="very high dropout is needed to invert",
        source=CROSS_ENTROPY,
        reads={
            "p1.fig26.high_dropout": read("inversion", preset="fig26-dropout", panel=[0, 1]),
        },
        comparison=Region(high=0),
        reason="no cell inverts at dropout 0 and .3; the paper's values are lost",
    ),
    Entry(
        id="1/fig27-forgetting",
        figure="Fig. 27",
        claim="no Forgetting with ReLU",
        source=RELU,
        reads={
            "p1.fig27.relu.no_forgetting": read(
                "cells", preset="fig27", panel=[0, 1, 2], phase="forgetting"
            ),
            "p1.fig8.degree": read("cells", preset="fig27", panel=3, phase="forgetting"),
        },
        comparison=Region(high=0),
        reason="a count; the decays of Fig. 3, as the paper's are not stated",
    ),
    Entry(
        id="1/fig27-regularisation",
        figure="Fig. 27",
        claim="ReLU needs more regularisation to generalise",
        source=RELU,
        reads={
            "p1.fig27.relu.needs_more_reg": read("generalising", preset=["fig27", "fig3a"], panel=0)
        },
        comparison=Order(ascending=True),
        reason=_SIGN + "; cells that generalise without decay",
    ),
    Entry(
        id="1/fig28-confusion",
        figure="Fig. 28",
        claim="with ReLU, Confusion already at moderate dropout",
        source=RELU_DROPOUT,
        reads={
            "p1.fig28.relu.dropout_confusion": read(
                "cells", preset=["fig3b", "fig28"], panel=1, phase="confusion"
            )
        },
        comparison=Order(ascending=True),
        reason=_SIGN,
    ),
    Entry(
        id="1/fig29-partial",
        figure="Fig. 29",
        claim="no Partial Inversion with 5000 neurons and no decay",
        source=WIDE,
        reads={
            "p1.fig29.no_partial_inversion": read(
                "cells", preset="fig29", panel=0, phase="partial inversion"
            )
        },
        comparison=Region(high=0),
        reason="a count, over 25 cells; one of them stands for thirteen of the full grid",
    ),
    Entry(
        id="1/fig29-coexistence",
        figure="Fig. 29",
        claim="less Coexistence with 5000 neurons and no decay",
        source=WIDE,
        reads={
            "p1.fig29.smaller_coexistence": read(
                "cells", preset=["fig29", "fig3a"], panel=0, phase="coexistence"
            )
        },
        comparison=Order(ascending=True),
        reason=_SIGN,
    ),
    Entry(
        id="1/fig29-worse",
        figure="Fig. 29",
        claim="generalisation is marginally worse than with 500 neurons",
        source=WIDE,
        reads={"p1.fig29.marginally_worse": read("generalising_share", preset="fig29")},
        comparison=Region(low=0.85, high=1.0),
        reason="'marginally': the cells that generalise are fewer by less than 15 %",
    ),
    Entry(
        id="1/fig30",
        figure="Fig. 30",
        claim="with 5000 ReLU neurons Confusion is largely gone",
        source=WIDE_RELU,
        reads={"p1.fig30.relu_wide_better": read("confusion_share", preset="fig30")},
        comparison=Region(high=0.5),
        reason="'largely': at most half of the cells are left",
    ),
    Entry(
        id="1/fig31",
        figure="Fig. 31",
        claim="the diagram of multiplication is that of addition",
        source=MULTIPLICATION,
        reads={"p1.fig31.multiplication_same": read("same", preset="fig31")},
        comparison=Region(low=0.9),
        reason="seeds alone change a few per cent of the cells, at the boundaries",
    ),
)
