"""Figs. 4, 6, 17-19 and 23: which neurons memorise, and what happens without them."""

from typing import Any

from analyses.ledger.comparisons import Bound, Curve, Distribution, Holds, Order, Value
from analyses.ledger.entry import Entry, read
from analyses.ledger.label_noise import label_noise
from analyses.ledger.paper1.label_corruption import DECAYS

DROPOUT = label_noise("dropout_curves", "published", 5, 10)
_DECAYS = (("wd0", 0.0), ("wd5", 5.0), ("wd15", 15.0))
_SUBSETS = {"train": "train", "test": "test", "corrupted": "selected", "uncorrupted": "unchanged"}
_READ = "read from a figure; "


def _pruned(end: str, subset: str, **at: Any) -> dict[str, Any]:
    return {"weight_decay": 0.0, "order": "ipr", "end": end, "subset": subset, **at}


ENTRIES = (
    Entry(
        id="1/fig4a-histograms",
        figure="Fig. 4a",
        claim="histograms of the IPR by weight decay",
        source=DECAYS,
        reads={f"p1.fig4a.{name}.hist": read("ipr", weight_decay=d) for name, d in _DECAYS},
        comparison=Distribution(distance=0.10),
        reason=_READ + "a tenth of the neurons",
    ),
    Entry(
        id="1/fig4a-means",
        figure="Fig. 4a",
        claim="mean IPR",
        source=DECAYS,
        reads={
            f"p1.fig4a.{name}.mean_ipr": read("mean_ipr_at_end", weight_decay=d)
            for name, d in _DECAYS
        },
        comparison=Value(absolute=0.03, spread=True),
        reason=_READ + "the spread of our runs",
    ),
    Entry(
        id="1/fig4a-counts",
        figure="Fig. 4a",
        claim="neurons with an IPR below .2 and above .5",
        source=DECAYS,
        reads={
            f"p1.fig4a.{name}.{count}": read(count, weight_decay=d)
            for name, d in _DECAYS
            for count in ("n_low", "n_high")
        },
        comparison=Value(absolute=30, spread=True),
        reason=_READ + "30 of 500 neurons, or the spread of our runs",
    ),
    Entry(
        id="1/fig4a-bimodal",
        figure="Fig. 4a",
        claim="few neurons between .2 and .5 without weight decay",
        source=DECAYS,
        reads={"p1.fig4a.wd0.bimodal": read("n_between", weight_decay=0.0)},
        comparison=Bound(high=25),
        reason="published 5; five times as many is still bimodal",
    ),
    Entry(
        id="1/fig4a-sides",
        figure="Fig. 4a",
        claim="and many on either side",
        source=DECAYS,
        reads={
            f"neurons with an IPR {words}, no weight decay": read(name, weight_decay=0.0)
            for name, words in (("n_low", "below .2"), ("n_high", "above .5"))
        },
        comparison=Bound(low=50),
        reason="a tenth of the neurons; else few between would not make two groups",
        says="bimodal",
    ),
    Entry(
        id="1/fig4a-shift",
        figure="Fig. 4a",
        claim="mean IPR grows with weight decay",
        source=DECAYS,
        reads={"p1.fig4a.shift_with_wd": read("mean_ipr_at_end")},
        comparison=Order(ascending=True),
        reason="the order of the means over seeds",
    ),
    Entry(
        id="1/fig4a-few-low",
        figure="Fig. 4a",
        claim="Full Inversion leaves few memorising neurons",
        source=DECAYS,
        reads={"p1.fig4a.wd15.few_low": read("low_share", weight_decay=15.0)},
        comparison=Bound(high=0.2),
        reason="published .10; twice as many is still few",
    ),
    Entry(
        id="1/fig4b-shift",
        figure="Fig. 4b",
        claim="mean IPR grows with dropout",
        source=DROPOUT,
        reads={
            "p1.fig4b.shift_with_dp": read("mean_ipr", dropout=[0.0, 0.3, 0.6]),
        },
        comparison=Order(ascending=True),
        reason="the order of the means; the figure's dropout values are not stated",
    ),
    Entry(
        id="1/fig19-train",
        figure="Fig. 19",
        claim="train accuracy falls with dropout",
        source=DROPOUT,
        reads={"p1.fig19.dropout_train_acc": read("final_train")},
        comparison=Order(ascending=False),
        reason="the order of the means; alpha and xi of Fig. 4",
    ),
    Entry(
        id="1/fig6-curves",
        figure="Fig. 6",
        claim="accuracies while neurons are removed by IPR",
        source=DECAYS,
        reads={
            f"p1.fig6.prune_{end}.curve.{name}": read(
                "pruned_accuracy", 100, **_pruned(end, subset)
            )
            for end in ("low", "high")
            for name, subset in _SUBSETS.items()
        },
        comparison=Curve(absolute=2.0, stretch=0.15),
        reason=_READ + "two points, and where a curve is steep the fraction of neurons may differ "
        "by 15 %",
    ),
    Entry(
        id="1/fig6-start",
        figure="Fig. 6",
        claim="accuracy on redrawn labels before pruning",
        source=DECAYS,
        reads={"p1.fig6.start.corrupted": read("corrupted_start", 100, weight_decay=0.0)},
        comparison=Value(absolute=1.5, spread=True),
        reason=_READ + "the spread of our runs",
    ),
    Entry(
        id="1/fig6-floors",
        figure="Fig. 6",
        claim="train and redrawn accuracy once the low-IPR neurons are removed",
        source=DECAYS,
        reads={
            "p1.fig6.low.train_floor": read(
                "pruned_accuracy", 100, **_pruned("low", "train", fraction=0.65)
            ),
            "p1.fig6.low.corrupted_floor": read(
                "pruned_accuracy", 100, **_pruned("low", "selected", fraction=0.65)
            ),
        },
        comparison=Value(absolute=0.5, spread=True),
        reason=_READ + "both are counts: 17 redrawn labels are true",
    ),
    Entry(
        id="1/fig6-test-min",
        figure="Fig. 6",
        claim="lowest test accuracy while 0 to 70 % are removed from the low end",
        source=DECAYS,
        reads={"p1.fig6.low.test_min": read("test_min", 100, weight_decay=0.0)},
        comparison=Value(absolute=1.0, spread=True),
        reason=_READ + "one point",
    ),
    Entry(
        id="1/fig6-half-high",
        figure="Fig. 6",
        claim="share removed from the high end at which test accuracy is a half",
        source=DECAYS,
        reads={"p1.fig6.high.test_half": read("half_high", weight_decay=0.0)},
        comparison=Value(absolute=0.03, spread=True),
        reason=_READ + "a tenth of the periodic neurons",
    ),
    Entry(
        id="1/fig6-half-low",
        figure="Fig. 6",
        claim="share removed from the low end at which accuracy on redrawn labels is a half",
        source=DECAYS,
        reads={"p1.fig6.low.corrupted_half": read("half_low", weight_decay=0.0)},
        comparison=Value(absolute=0.05, spread=True),
        reason=_READ + "a tenth of the other neurons",
    ),
    Entry(
        id="1/fig6-monotone",
        figure="Fig. 6",
        claim="accuracy on redrawn labels only falls, from the low end",
        source=DECAYS,
        reads={"p1.fig6.low.monotone": read("corrupted_rise", 100, weight_decay=0.0)},
        comparison=Bound(high=0.5),
        reason="rises below half a point are noise of 1646 examples",
    ),
    Entry(
        id="1/fig6-high",
        figure="Fig. 6",
        claim="accuracy on redrawn labels stays high, from the high end",
        source=DECAYS,
        reads={"p1.fig6.high.corrupted_high": read("corrupted_min", 100, weight_decay=0.0)},
        comparison=Bound(low=92.0),
        reason="published minimum 93.8",
    ),
    Entry(
        id="1/fig17b",
        figure="Fig. 17b",
        claim="in Partial Inversion, removing high-IPR neurons raises accuracy on redrawn labels",
        source=DECAYS,
        reads={
            "p1.fig17.wd5.high_prune_raises_corrupted": read("corrupted_gain", weight_decay=5.0)
        },
        comparison=Bound(low=0.1),
        reason="the sign is the claim; the size is our bound",
    ),
    Entry(
        id="1/fig17c",
        figure="Fig. 17c",
        claim="in Full Inversion it rises little, and late",
        source=DECAYS,
        reads={"p1.fig17.wd15.small_late_rise": read("corrupted_max", weight_decay=15.0)},
        comparison=Bound(high=0.3),
        reason="no published number; the bound is ours",
    ),
    Entry(
        id="1/fig17",
        figure="Fig. 17",
        claim="test accuracy without the neurons of IPR below .2, in all three phases",
        source=DECAYS,
        reads={"p1.fig17.low_prune_all_phases": read("lowest_without_memory")},
        comparison=Bound(low=0.95),
        reason="no published number; the bound is ours",
    ),
    Entry(
        id="1/fig18a",
        figure="Fig. 18a",
        claim="test loss turns twice while low-IPR neurons are removed",
        source=DECAYS,
        reads={"p1.fig18.wd0.test_loss_nonmonotone": read("loss_turns", weight_decay=0.0)},
        comparison=Bound(low=2),
        reason="two changes of sign, on a grid of 5 % of the neurons, changes below .2 % left out",
    ),
    Entry(
        id="1/fig18b",
        figure="Fig. 18b",
        claim="at first train loss rises and test loss falls",
        source=DECAYS,
        reads={"p1.fig18.wd5.train_up_test_down": read("train_up_test_down", weight_decay=5.0)},
        comparison=Holds(),
        reason="the sign, at 30 % removed",
    ),
    Entry(
        id="1/fig18c",
        figure="Fig. 18c",
        claim="test loss is flat, then rises",
        source=DECAYS,
        reads={"p1.fig18.wd15.flat_then_rising": read("flat_then_up", weight_decay=15.0)},
        comparison=Holds(),
        reason="8 % is about the share of low-IPR neurons; 5 % is the width of a line",
    ),
    Entry(
        id="1/fig18-monotone",
        figure="Fig. 18",
        claim="train loss only rises",
        source=DECAYS,
        reads={"p1.fig18.train_loss_monotone": read("largest_train_loss_fall")},
        comparison=Bound(high=0.02),
        reason="falls below 2 % are ignored; Partial Inversion is excepted in the claim",
    ),
    Entry(
        id="1/fig18-peaks",
        figure="App. I.2",
        claim="at large decay periodic neurons carry secondary peaks",
        source=DECAYS,
        reads={"p1.fig18.secondary_peaks": read("second_share", weight_decay=[0.0, 15.0])},
        comparison=Order(ascending=True),
        reason="the sign of the difference of the means",
    ),
    Entry(
        id="1/fig23a",
        figure="Fig. 23a",
        claim="in Coexistence the given label has the larger logit",
        source=DECAYS,
        reads={"p1.fig23.wd0.order": read("given_above_true", weight_decay=0.0)},
        comparison=Bound(low=0.9),
        reason="of all changed examples instead of four; the bound is ours",
    ),
    Entry(
        id="1/fig23b",
        figure="Fig. 23b",
        claim="in Partial Inversion the two peaks are similar",
        source=DECAYS,
        reads={"p1.fig23.wd5.order": read("given_share", weight_decay=5.0)},
        comparison=Bound(low=0.35, high=0.65),
        reason="of all changed examples instead of four; the bounds are ours",
    ),
    Entry(
        id="1/fig23c",
        figure="Fig. 23c",
        claim="in Full Inversion the true label has the larger logit",
        source=DECAYS,
        reads={"p1.fig23.wd15.order": read("true_above_given", weight_decay=15.0)},
        comparison=Bound(low=0.99),
        reason="of all changed examples instead of four; the bound is ours",
    ),
)
