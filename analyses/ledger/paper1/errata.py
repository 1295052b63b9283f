"""Errata of the first paper that no published value covers.

Most are settled by runs that other entries use, the rest by what the released code computes. Two
cannot be computed: the caption of Fig. 12 calls alpha a corruption fraction, and the README says
that the notebook gives all results on label noise, while nothing released makes Figs. 7, 11-16, 21,
23 and 26-32.
"""

from analyses.ledger.comparisons import Bound, Value
from analyses.ledger.entry import Entry, Source, read
from analyses.ledger.paper1.label_corruption import CLEAN, DECAYS
from analyses.ledger.paper1.norms import FIG5

_RELEASED = "analyses.ledger.measures.released_code"
GRIDS = Source(
    name="grids_and_noise",
    compute=f"{_RELEASED}:grids_and_noise",
    seeds=5,
    tier="quick",
    minutes=0.03,
)
MASK = Source(
    name="attention_mask",
    compute=f"{_RELEASED}:attention_mask",
    seeds=3,
    tier="quick",
    minutes=0.05,
    networks=("transformer",),
)
ENDS = Source(name="end_points", compute=f"{_RELEASED}:end_points", tier="quick", minutes=0.02)

ENTRIES = (
    Entry(
        id="1/E2-grid",
        figure="Fig. 3, code",
        claim="the corruptions of the phase diagrams",
        source=GRIDS,
        of_publication=True,
        reads={"values of xi in the released sweeps": read("corruptions", seeds=1)},
        comparison=Value(equals=17.0),
        reason="the grid is a formula in the released code: nothing is trained, and the row cannot "
        "fail",
        says="19, from 0",
        differs="The released sweeps take 17 corruptions, from .1 to .9. The rows of xi 0 and .05 "
        "in the text's grid cannot come from them; in the rest both grids agree.",
    ),
    Entry(
        id="1/E5-batchnorm",
        figure="Conclusion",
        claim="BatchNorm damps the neurons that regularise",
        source=FIG5,
        reads={
            "rank correlation of gain and IPR": read(
                "gain_rank_correlation", train_fraction=0.65, norm="batch"
            )
        },
        comparison=Bound(low=0.0),
        reason="the sign",
        says="damps regularizing neurons",
        differs="A slip: the gain grows with the IPR (Fig. 5), so the neurons that BatchNorm damps "
        "are those of low IPR, which memorise.",
    ),
    Entry(
        id="1/E9-end-points",
        figure="Fig. 3, code",
        claim="the released sweeps give the phases",
        source=ENDS,
        of_publication=True,
        reads={"phases that fit the end of the run of Fig. 8": read("phases")},
        comparison=Value(equals=2.0),
        reason="a count by the rule for phases on two printed numbers: nothing is trained, and the "
        "row cannot fail",
        says="1",
        differs="The sweeps keep accuracies at the end alone. Forgetting and Confusion end alike, "
        "so which of them a cell is in needs the largest test accuracy, too.",
    ),
    Entry(
        id="1/E10-noise",
        figure="Fig. 7, code",
        claim="labels of the transformer are redrawn from all p",
        source=GRIDS,
        reads={"labels p - 1 among 1646 that are redrawn as in the code": read("last_label")},
        comparison=Value(equals=0.0),
        reason="the range of the random numbers excludes it",
        says="uniform over all labels",
        differs="The released transformer's labels are redrawn from 0 to p - 2. The label p - 1 is "
        "never wrong, and a redrawn label is true in 1 of p - 1 cases, or never where the true one "
        "is p - 1. Of 1646 labels redrawn from all p, about 17 are p - 1.",
    ),
    Entry(
        id="1/E12-decoder",
        figure="Fig. 7, code",
        claim="the transformer is a decoder",
        source=MASK,
        reads={"change of the answers by a causal mask, one layer": read("change", layers=1)},
        comparison=Value(equals=0.0, absolute=1e-6),
        reason="float32 rounding",
        says="decoder-only",
        differs="The released network has no mask, so it is an encoder, as the text says. With one "
        "layer that is read at the last token the two are one function: a mask hides nothing from "
        "that token.",
    ),
    Entry(
        id="1/E12-depth",
        figure="Fig. 12, code",
        claim="the deeper transformers are decoders",
        source=MASK,
        reads={"change of the answers by a causal mask, two layers": read("change", layers=2)},
        comparison=Bound(low=0.01, every=True),
        reason="a hundred times what rounding could do",
        says="decoder-only",
        differs="From two layers on a mask makes another network of the same weights, so what "
        "README and text call the networks of Fig. 12 cannot both be true.",
    ),
    Entry(
        id="1/E13-peak",
        figure="Fig. 1a",
        claim="Coexistence is where training ends",
        source=DECAYS,
        reads={"step of the largest test accuracy": read("peak_step", weight_decay=0.0)},
        comparison=Bound(high=800),
        reason="a fifth of the run before its end",
        says="an end state",
        differs="Coexistence is not stationary: test accuracy is largest well before the end of "
        "training (published at step 540 of 1000) and falls from there, so the step must be stated "
        "with the number.",
    ),
    Entry(
        id="1/E14-partial",
        figure="Abstract",
        claim="with weight decay train accuracy falls to 1 - xi",
        source=DECAYS,
        reads={
            "train accuracy at weight decay 5, step 500": read(
                "train_accuracy", weight_decay=5.0, step=500
            )
        },
        comparison=Bound(low=0.70),
        reason="five points above the floor of .65",
        says="100 (1 - xi) %",
        differs="That holds in Full Inversion alone. In Partial Inversion train accuracy dips, "
        "recovers and drifts, here to about .77.",
    ),
    Entry(
        id="1/E15-monotone",
        figure="Fig. 2a",
        claim="IPR rises monotonically",
        source=DECAYS,
        reads={
            "runs at weight decay 15 in which mean IPR never falls": read(
                "ipr_rises", weight_decay=15.0
            )
        },
        comparison=Value(equals=0.0),
        reason="in no seed",
        says="monotone",
        differs="It does for weight decay 5 without corruption, which is what the figure shows. At "
        "weight decay 15 with corruption the mean IPR falls for a while.",
    ),
    Entry(
        id="1/E18-floor",
        figure="Fig. 6",
        claim="pruning low-IPR neurons removes all corrupted labels",
        source=DECAYS,
        reads={
            "accuracy on redrawn labels with 65 % pruned, in %": read(
                "pruned_accuracy",
                100,
                weight_decay=0.0,
                order="ipr",
                end="low",
                subset="selected",
                fraction=0.65,
            )
        },
        comparison=Value(equals=100 * 17 / 1646, absolute=0.5),
        reason="eight of 1646 labels",
        says="0",
        differs="The redrawn labels include 17 of 1646 that stayed true, so a network that knows "
        "no wrong label still scores 1.03 % on them.",
    ),
    Entry(
        id="1/analytic-amplitude",
        figure="Eq. 2",
        claim="trained rows have the amplitude of the analytic solution",
        source=CLEAN,
        reads={"amplitude of periodic rows": read("amplitude", weight_decay=5.0)},
        comparison=Bound(low=0.17),
        reason="the analytic amplitude, (2/N)^(1/3), is .159",
        says="0.159",
        differs="Rows of a trained network are larger than the analytic ones (.22 in Fig. 2b): "
        "fewer neurons are periodic, and trained networks also cancel the leftover terms.",
    ),
)
