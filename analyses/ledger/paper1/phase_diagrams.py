"""Figs. 3, 24 and 25: phase diagrams over train fraction and corruption.

The panels of the published diagrams are lost, so what is compared is what the text says of them.
Cells are compared by the majority phase of three seeds, unless an entry says otherwise: those of
the size "small" (9 x 10) for Fig. 3a, "coarse" (5 x 5) for Fig. 3b and where two diagrams are
compared. Matrix products are of bfloat16 operands; ``docs/how_to/phase_diagram.md`` says which
share of cells changes its phase in float32.
"""

from typing import Any

from analyses.ledger.comparisons import Order, Region
from analyses.ledger.entry import Entry, Source, read

_MEASURES = "analyses.ledger.measures.diagrams"


def trained(
    name: str, minutes: float, *, size: str = "coarse", tier: str = "cpu", **settings: Any
) -> Source:
    """The runs of a preset's diagram, or of one panel, with matrix products in bfloat16."""
    panel = f"_{settings['panel']}" if "panel" in settings else ""
    return Source(
        name=f"cells_{name.replace('-', '_')}{panel}",
        compute=f"{_MEASURES}:trained",
        settings={"name": name, "size": size, "precision": "bfloat16", **settings},
        seeds=3,
        tier=tier,
        minutes=minutes,
    )


def diagrams(
    name: str,
    presets: dict[str, tuple[Source, ...]],
    *,
    size: str = "coarse",
    tier: str = "cpu",
    **settings: Any,
) -> Source:
    """Counts on diagrams, each from its runs, and on each against the first."""
    return Source(
        name=name,
        compute=f"{_MEASURES}:diagrams",
        settings={
            "names": {preset: [part.name for part in parts] for preset, parts in presets.items()},
            "size": size,
            **settings,
        },
        seeds=3,
        tier=tier,
        minutes=0.1,
        parts=tuple(part for parts in presets.values() for part in parts),
    )


DECAYS = tuple(trained("fig3a", 65, size="small", panel=panel) for panel in range(4))
DROPOUTS = (trained("fig3b", 65),)
DECAY = diagrams("fig3a", {"fig3a": DECAYS}, size="small")
DROPOUT = diagrams("fig3b", {"fig3b": DROPOUTS})

_3A: dict[str, Any] = {"preset": "fig3a"}
_3B: dict[str, Any] = {"preset": "fig3b"}
_OWN_FILES = (
    "a check of our own files: the phases are computed from the stored accuracies, so the claim "
    "cannot fail"
)
_SIGN = "the panels are lost; the text gives the order alone"

ENTRIES = (
    Entry(
        id="1/fig3-plateau",
        figure="Fig. 3a",
        claim="train accuracy in Full Inversion is 1 - xi + xi/p",
        source=DECAY,
        reads={
            "p1.fig3.full_inversion_plateau": read("plateau_error_anywhere", **_3A),
        },
        comparison=Region(high=0.01),
        reason="one point, in every cell of Full Inversion; strict, as by the rule for phases a "
        "tenth of the wrong labels may still be known there",
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
        id="1/fig3a-boundary-ends",
        figure="Fig. 3a",
        claim="and is at less data with weight decay 15 than without",
        source=DECAY,
        reads={
            "smallest alpha that generalises, weight decay 0 and 15": read(
                "boundary", **_3A, panel=[0, 2]
            )
        },
        comparison=Order(ascending=False),
        reason="the sign, so that two small reversals do not pass for a shift",
        says="moves to less data",
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
        id="1/fig3a-no-forgetting",
        figure="Fig. 3a",
        claim="and none without decay or at 5",
        source=DECAY,
        reads={
            "cells of Forgetting, weight decay 0 and 5": read(
                "cells", **_3A, panel=[0, 1], phase="forgetting"
            ),
        },
        comparison=Region(high=0),
        reason="a count; that these networks learn at all is tested by other entries",
        says="0",
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
        id="1/fig3b-robust",
        figure="Fig. 3b",
        claim="and so it does with dropout",
        source=DROPOUT,
        reads={
            "grid steps by which it falls, dropout 0, .3 and .6": read(
                "xi_falls", **_3B, panel=[0, 1, 2]
            )
        },
        comparison=Region(high=1),
        reason="one grid step of slack; .9 is left out, where nothing may generalise",
        says="grows",
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
        id="1/fig3b-confusion-cells",
        figure="Fig. 3b",
        claim="in more than single cells",
        source=DROPOUT,
        reads={
            "cells of Confusion at dropout .9": read("cells", **_3B, panel=3, phase="confusion"),
        },
        comparison=Region(low=1),
        reason="10 of the 323 cells of the full grid are one of these 25",
        says="at least 10 of 323",
    ),
    Entry(
        id="1/fig24",
        figure="Fig. 24",
        claim="the diagram follows from the accuracies behind it",
        source=DECAY,
        reads={"p1.fig24_25.same_data": read("consistent", **_3A)},
        comparison=Region(low=1),
        reason=_OWN_FILES,
    ),
    Entry(
        id="1/fig25",
        figure="Fig. 25",
        claim="and so it does with dropout",
        source=DROPOUT,
        reads={"1 where this holds, dropout 0, .3, .6 and .9": read("consistent", **_3B)},
        comparison=Region(low=1),
        reason=_OWN_FILES,
        says="the same networks",
    ),
    Entry(
        id="1/cuts",
        figure="App. C",
        claim="the diagram does not hang on the thresholds between phases",
        source=DECAY,
        reads={
            f"share of cells with another phase if .90 and .10 are {words}": read(
                "moved", **_3A, cut=cut
            )
            for cut, words in (("0.7", ".70 and .15"), ("0.5", ".50 and .05"))
        },
        comparison=Region(high=0.1),
        reason="a tenth of the cells; the cuts .90 and .10 are ours",
        says="not stated",
    ),
    Entry(
        id="1/E3-table",
        figure="Fig. 3a",
        claim="the paper's table gives the phases",
        source=DECAY,
        reads={
            "share of generalising runs that it puts elsewhere than our rule, xi from .15 and "
            "below": read("table_differs", **_3A, noise=["from 0.15", "below 0.15"])
        },
        comparison=Order(ascending=True, least=0.2),
        claimed=Region(high=0.05),
        reason="a fifth of the runs more",
        says="the same rule at every xi",
        differs="Below xi = .15 train accuracy does not distinguish memorising from inverting. Of "
        "the runs that generalise, the table puts many into another phase than their accuracy on "
        "wrong labels does, and few at larger xi.",
    ),
    Entry(
        id="1/E11-column",
        figure="Fig. 10",
        claim="the full-batch column of the sweep without a norm, when it is trained",
        source=DECAY,
        reads={"cells that generalise at full batches": read("generalising", **_3A, panel=0)},
        comparison=Region(low=1),
        reason="a network that takes no step generalises nowhere",
        says="uninitialised memory",
        differs="The released sweep takes no step at full batches, and what it stores there is "
        "uninitialised memory. The column is Fig. 3a without decay, whose networks do generalise.",
    ),
    Entry(
        id="1/fig8-only-grokked",
        figure="App. E",
        claim="only networks that generalised forget",
        source=DECAY,
        reads={"p1.fig8.only_grokked": read("forgot_share", **_3A, panel=3)},
        comparison=Region(high=0.05),
        reason="5 % of the runs that memorise and never generalise",
    ),
)
