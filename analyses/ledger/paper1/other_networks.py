"""Figs. 7, 12-16, 32 and Hypothesis 2.2: transformers, three-layer networks, images, widths.

What Fig. 32b shows is lost with its caption.
"""

from analyses.ledger.comparisons import Bound, Holds, Order, Region, Value
from analyses.ledger.entry import Entry, Source, read

_EXPERIMENTS = "analyses.ledger.measures.label_noise"
_DIAGRAMS = "analyses.ledger.measures.diagrams:diagrams"
_SIGN = "the panels and their weight decays are lost; the text gives the order alone"


def _diagrams(
    name: str, names: list[str], minutes: float, tier: str, *, networks: tuple[str, ...]
) -> Source:
    return Source(
        name=name,
        compute=_DIAGRAMS,
        settings={"names": names, "size": "small"},
        seeds=3,
        tier=tier,
        minutes=minutes,
        networks=networks,
    )


TRANSFORMER = _diagrams("fig7a", ["fig7a"], 900, "gpu", networks=("transformer",))
THREE_LAYERS = _diagrams("fig7b", ["fig7b"], 900, "gpu", networks=("mlp",))
TRANSFORMER_DROPOUT = _diagrams("fig13", ["fig13"], 600, "gpu", networks=("transformer",))
NOTEBOOK = Source(
    name="transformer_notebook",
    compute="analyses.ledger.measures.architectures:notebook_run",
    seeds=3,
    tier="cpu",
    minutes=10,
    networks=("transformer",),
)
PARAMETERS = Source(
    name="parameter_counts",
    compute="analyses.ledger.measures.architectures:parameter_counts",
    tier="quick",
    minutes=0.1,
    networks=("transformer", "lstm", "embedding_mlp"),
)
TABLES = Source(
    name="table_ipr",
    compute=f"{_EXPERIMENTS}:table_ipr",
    experiment="table_ipr",
    settings={"size": "small"},
    seeds=3,
    tier="cpu",
    minutes=40,
    networks=("transformer", "mlp"),
)
DEEP_DROPOUT = Source(
    name="appG",
    compute="analyses.ledger.measures.deep_dropout:deep_dropout",
    # The published network and steps, in four cells: a run takes 5 to 10 minutes of a core. Alpha
    # .35 is where memorising should be easiest; xi starts at .2, since at .1 a network that knows
    # no wrong label has a train accuracy of .901, above the bound of "cannot memorise".
    settings={
        "size": "full",
        "train_fractions": [0.35, 0.6],
        "corruptions": [0.2, 0.5],
        "dropouts": [0.0, 0.05],
        "precision": "bfloat16",
    },
    seeds=3,
    tier="cpu",
    minutes=90,
)


def _experiment(name: str, size: str, seeds: int, tier: str, minutes: float) -> Source:
    return Source(
        name=name,
        compute=f"{_EXPERIMENTS}:{name}",
        experiment=name,
        settings={"size": size},
        seeds=seeds,
        tier=tier,
        minutes=minutes,
    )


DEEP_NORM = _experiment("deep_batchnorm", "published", 3, "cpu", 20)
IMAGES = _experiment("images", "small", 3, "cpu", 60)
WIDTHS = _experiment("pruned_width", "published", 5, "gpu", 120)

ENTRIES = (
    *(
        entry
        for name, preset, source in (
            ("transformer", "fig7a", TRANSFORMER),
            ("mlp3", "fig7b", THREE_LAYERS),
        )
        for entry in (
            Entry(
                id=f"1/fig7-{name}-ipr",
                figure="Fig. 7",
                claim="the input layer's mean IPR grows with weight decay",
                source=TABLES,
                reads={f"p1.fig7.{name}.ipr_shift": read("input_ipr", figure=preset, place=[0, 3])},
                comparison=Order(ascending=True),
                reason=_SIGN + "; decays 0 and 1 of our scan, at alpha .8, xi .2",
            ),
            Entry(
                id=f"1/fig7-{name}-cells",
                figure="Fig. 7",
                claim="weight decay favours generalisation",
                source=source,
                reads={
                    f"p1.fig7.{name}.wd_generalises": read(
                        "generalising", preset=preset, panel=[0, 3]
                    )
                },
                comparison=Order(ascending=True),
                reason=_SIGN + "; decays 0 and 1 of our scan",
            ),
            Entry(
                id=f"1/sec2.2-{name}-full",
                figure="Sec. 2.2",
                claim="Full Inversion only with weight decay",
                source=source,
                reads={
                    f"p1.sec2.2.{name}.full_inversion_needs_wd": read(
                        "cells", preset=preset, panel=0, phase="full inversion"
                    )
                },
                comparison=Region(high=2),
                reason="2 % of the cells",
            ),
        )
    ),
    Entry(
        id="1/sec2.2-transformer-dropout",
        figure="Sec. 2.2",
        claim="dropout mostly extends Confusion (transformer)",
        source=TRANSFORMER_DROPOUT,
        reads={
            "p1.sec2.2.transformer.dropout_confusion": read(
                "cells", preset="fig13", panel=[0, 3], phase="confusion"
            )
        },
        comparison=Order(ascending=True),
        reason="the sign, for dropout 0 and .2",
    ),
    Entry(
        id="1/sec2.2-mlp3-dropout",
        figure="Sec. 2.2",
        claim="dropout mostly extends Confusion (three layers)",
        source=DEEP_DROPOUT,
        reads={"p1.sec2.2.mlp3.dropout_confusion": read("confusion", dropout=[0.0, 0.05])},
        comparison=Order(ascending=True),
        reason="the sign",
    ),
    Entry(
        id="1/hyp2.2",
        figure="Hypothesis 2.2",
        claim="the input rows of networks that generalise are periodic",
        source=TABLES,
        reads={"p1.hyp2.2": read("least_periodic", figure=["fig7a", "fig7b"])},
        comparison=Region(low=2),
        reason="twice the mean IPR of noise; the operational form is ours",
    ),
    Entry(
        id="1/notebook-train-loss",
        figure="Notebook",
        claim="the transformer of the notebook: train loss",
        source=NOTEBOOK,
        reads={"p1.transformer_notebook.train_loss": read("train_loss")},
        comparison=Value(factor=3),
        reason="cross-entropy falls exponentially at the end: a factor of 3 is a few steps",
    ),
    Entry(
        id="1/notebook-test-loss",
        figure="Notebook",
        claim="the transformer of the notebook: test loss",
        source=NOTEBOOK,
        reads={"p1.transformer_notebook.test_loss": read("test_loss")},
        comparison=Value(factor=5),
        reason="as for the train loss, and it hangs on few pairs",
    ),
    Entry(
        id="1/notebook-train-accuracy",
        figure="Notebook",
        claim="the transformer of the notebook: train accuracy",
        source=NOTEBOOK,
        reads={"p1.transformer_notebook.train_acc": read("train_accuracy")},
        comparison=Value(absolute=0.002),
        reason="ten pairs of 4704",
    ),
    Entry(
        id="1/notebook-test-accuracy",
        figure="Notebook",
        claim="the transformer of the notebook: test accuracy",
        source=NOTEBOOK,
        reads={"p1.transformer_notebook.test_acc": read("test_accuracy")},
        comparison=Value(absolute=0.005),
        reason="25 pairs of 4705",
    ),
    Entry(
        id="1/notebook-parameters",
        figure="Notebook",
        claim="its parameters without embeddings",
        source=PARAMETERS,
        reads={
            "p1.transformer_notebook.n_params_non_embedding": read(
                "parameters", network="first paper's transformer"
            )
        },
        comparison=Value(),
        reason="a count",
    ),
    Entry(
        id="1/fig12-depth",
        figure="Fig. 12",
        claim="depth does not change the embedding's mean IPR",
        source=TABLES,
        reads={"p1.fig12.depth": read("largest_change", figure="fig12-depth")},
        comparison=Bound(high=0.1),
        reason="no published number; the bound is ours. Depths are lost: 1 to 4 here",
    ),
    Entry(
        id="1/fig12-heads",
        figure="Fig. 12",
        claim="more heads raise the embedding's mean IPR",
        source=TABLES,
        reads={"p1.fig12.heads": read("input_ipr", figure="fig12-heads", place=[0, 3])},
        comparison=Order(ascending=True),
        reason="the sign. Numbers of heads are lost: 1 and 8 here",
    ),
    Entry(
        id="1/fig12-tying",
        figure="Fig. 12",
        claim="tying the weights lowers the embedding's mean IPR",
        source=TABLES,
        reads={"p1.fig12.tying": read("input_ipr", figure="fig12-tied", place=[0, 1])},
        comparison=Order(ascending=False),
        reason="the sign",
    ),
    Entry(
        id="1/fig13-small",
        figure="Fig. 13",
        claim="a little dropout raises the embedding's mean IPR",
        source=TABLES,
        reads={"p1.fig13.small_dp_helps": read("input_ipr", figure="fig13", place=[0, 2])},
        comparison=Order(ascending=True),
        reason="the sign; .1 is the largest useful value in the text",
    ),
    Entry(
        id="1/fig13-large",
        figure="Fig. 13",
        claim="dropout above .1 does not help",
        source=TRANSFORMER_DROPOUT,
        reads={"p1.fig13.large_dp_no_help": read("generalising", preset="fig13", panel=[2, 3])},
        comparison=Order(ascending=False, least=-0.5),
        reason="no more cells generalise at .2 than at .1",
    ),
    Entry(
        id="1/fig14-input",
        figure="Fig. 14",
        claim="a lazier parameterisation leaves the input's mean IPR",
        source=TABLES,
        reads={"p1.fig14.input_ipr_stable": read("largest_change", figure="fig14")},
        comparison=Bound(high=0.1),
        reason="no published number; the bound is ours",
    ),
    Entry(
        id="1/fig14-output",
        figure="Fig. 14",
        claim="and raises the output's",
        source=TABLES,
        reads={"p1.fig14.output_ipr_larger": read("output_ipr", figure="fig14", place=[0, 1])},
        comparison=Order(ascending=True),
        reason="the sign",
    ),
    Entry(
        id="1/appG",
        figure="App. G",
        claim="a three-layer network with dropout .05 cannot memorise",
        source=DEEP_DROPOUT,
        reads={"p1.appG.mlp3_dropout_fails": read("largest_train", dropout=0.05)},
        comparison=Region(high=0.9),
        reason="a negative claim, tested in every run of every cell",
    ),
    Entry(
        id="1/appG-control",
        figure="App. G",
        claim="and without dropout it can",
        source=DEEP_DROPOUT,
        reads={"largest train accuracy without dropout": read("largest_train", dropout=0.0)},
        comparison=Region(low=0.9),
        reason="without this the claim would not be about dropout",
        says="can",
    ),
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
        reason="there is such a decay in the scan",
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
        id="1/fig32",
        figure="Fig. 32",
        claim="the neurons needed after pruning grow sub-linearly with the width",
        source=WIDTHS,
        reads={"p1.fig32.sublinear": read("high", reading="within 0.01")},
        comparison=Bound(high=1.0),
        reason="the upper end of the exponent's 95 % interval",
    ),
)
