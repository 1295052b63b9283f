"""Figs. 15, 16 and 32: BatchNorm in three layers, images, widths.

What Fig. 32b shows is lost with its caption.
"""

from analyses.ledger.comparisons import Bound, Holds, Order
from analyses.ledger.entry import Entry, Read, read
from analyses.ledger.label_noise import label_noise

DEEP_NORM = label_noise("deep_batchnorm", "published", 3, 20)
IMAGES = label_noise("images", "small", 3, 60)
# 29,000 neurons in all, 58 times the default run's: 5 x 58 x 2000 steps of 9 to 10 ms.
WIDTHS = label_noise("pruned_width", "published", 5, 120)


def _exponent(reading: str) -> Read:
    return read("exponent", low="low", high="high", reading=reading)


ENTRIES = (
    Entry(
        id="1/fig15-phase",
        figure="Fig. 15",
        claim="BatchNorm in three layers: only Coexistence",
        source=DEEP_NORM,
        reads={"p1.fig15.only_coexistence": read("coexistence")},
        comparison=Holds(),
        reason="the phase of every seed",
    ),
    Entry(
        id="1/fig15-decay",
        figure="Fig. 15",
        claim="there is a weight decay at which the network generalises",
        source=DEEP_NORM,
        reads={"smallest of the weight decays 0, 1, 3 and 10 that generalises": read("decay")},
        comparison=Bound(low=0.0),
        reason="the paper's decay is not stated; without one the other rows say nothing",
        says="not stated",
    ),
    Entry(
        id="1/fig15-ipr",
        figure="Fig. 15",
        claim="high IPR sits in the output",
        source=DEEP_NORM,
        reads={"p1.fig15.high_ipr_at_output": read("ipr", table=["output", "input"])},
        comparison=Order(ascending=False),
        reason="the sign",
    ),
    Entry(
        id="1/fig15-gamma",
        figure="Fig. 15",
        claim="gains correlate with the IPR at the last norm alone",
        source=DEEP_NORM,
        reads={"p1.fig15.gamma_last_only": read("correlation", norm=["last", "first"])},
        comparison=Order(ascending=False),
        reason="the sign",
    ),
    Entry(
        id="1/fig16-inversion",
        figure="Fig. 16",
        claim="on images weight decay leads to Full Inversion",
        source=IMAGES,
        reads={"p1.fig16.wd_full_inversion": read("full_inversion")},
        comparison=Holds(),
        reason="there is such a decay in the scan",
    ),
    Entry(
        id="1/fig16-confusion",
        figure="Fig. 16",
        claim="and too much of it to Confusion",
        source=IMAGES,
        reads={"p1.fig16.large_wd_confusion": read("confusion")},
        comparison=Holds(),
        reason="there is such a decay in the scan, above one that inverts",
    ),
    Entry(
        id="1/fig16-dropout",
        figure="Fig. 16",
        claim="more dropout lowers accuracy",
        source=IMAGES,
        reads={"p1.fig16.dropout_hurts": read("test", dropout=[0.0, 0.4, 0.8])},
        comparison=Order(ascending=False),
        reason="the sign",
    ),
    Entry(
        id="1/fig16-dropout-train",
        figure="Fig. 16",
        claim="and that on the training set",
        source=IMAGES,
        reads={"train accuracy at dropout 0, .4 and .8": read("train", dropout=[0.0, 0.4, 0.8])},
        comparison=Order(ascending=False),
        reason="the sign",
        says="falls",
    ),
    Entry(
        id="1/fig32",
        figure="Fig. 32",
        claim="the neurons needed after pruning grow sub-linearly with the width",
        source=WIDTHS,
        reads={"p1.fig32.sublinear": _exponent("within 0.01")},
        comparison=Bound(high=1.0),
        reason="the whole 95 % interval of the exponent",
    ),
    Entry(
        id="1/fig32-level",
        figure="Fig. 32",
        claim="by the other reading of 'needed': as long as test accuracy is at least .90",
        source=WIDTHS,
        reads={"exponent of the neurons needed for .90": _exponent("0.90")},
        comparison=Bound(high=1.0),
        reason="the whole 95 % interval of the exponent",
        says="sub-linear",
    ),
)
