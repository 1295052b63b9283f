"""Figs. 7, 12-14, App. G and Hypothesis 2.2: transformers and three-layer networks.

The diagrams of Figs. 7 and 13 have nine cells, and the small networks whose settings
``analyses/label_noise/table_ipr.py`` searched for: modulus 59 for transformers, 47 for three
layers, where weight decays of 3 and 10 generalise. At the published size they need a GPU for hours;
``grokinterp sweep`` trains them.
"""

from analyses.ledger.comparisons import Bound, Order, Region, Value
from analyses.ledger.entry import Entry, Source, read
from analyses.ledger.label_noise import label_noise
from analyses.ledger.paper1.further_networks import DEEP_NORM

_SIGN = "the panels and their weight decays are lost; the text gives the order alone"


def _diagram(name: str, values: list[float], minutes: float, network: str) -> Source:
    return Source(
        name=name,
        compute="analyses.ledger.measures.small_diagrams:small_diagrams",
        settings={
            "name": name,
            "values": values,
            "train_fractions": [0.5, 0.7, 0.9],
            "corruptions": [0.0, 0.1, 0.2],
        },
        seeds=3,
        tier="cpu",
        minutes=minutes,
        networks=(network,),
    )


TRANSFORMER = _diagram("fig7a", [0.0, 1.0, 3.0], 10, "transformer")
THREE_LAYERS = _diagram("fig7b", [0.0, 3.0, 10.0], 12, "mlp")
TRANSFORMER_DROPOUT = _diagram("fig13", [0.0, 0.1, 0.2], 45, "transformer")
NOTEBOOK = Source(
    name="transformer_notebook",
    compute="analyses.ledger.measures.architectures:notebook_run",
    seeds=3,
    tier="cpu",
    minutes=5,
    networks=("transformer",),
)
PARAMETERS = Source(
    name="parameter_counts",
    compute="analyses.ledger.measures.architectures:parameter_counts",
    tier="quick",
    minutes=0.1,
    networks=("transformer", "lstm", "embedding_mlp"),
)
TABLES = label_noise("table_ipr", "small", 3, 20, networks=("transformer", "mlp"))
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

ENTRIES = (
    *(
        entry
        for name, preset, source, decay, place, without, panels in (
            ("transformer", "fig7a", TRANSFORMER, 3, 4, TRANSFORMER_DROPOUT, [0, 1, 2]),
            ("mlp3", "fig7b", THREE_LAYERS, 10, 5, THREE_LAYERS, 0),
        )
        for entry in (
            Entry(
                id=f"1/fig7-{name}-ipr",
                figure="Fig. 7",
                claim="the input layer's mean IPR grows with weight decay",
                source=TABLES,
                reads={
                    f"p1.fig7.{name}.ipr_shift": read("input_ipr", figure=preset, place=[0, place])
                },
                comparison=Order(ascending=True),
                reason=f"{_SIGN}; decays 0 and {decay} of our scan, at alpha .8, xi .2",
            ),
            Entry(
                id=f"1/fig7-{name}-cells",
                figure="Fig. 7",
                claim="weight decay favours generalisation",
                source=source,
                reads={
                    f"p1.fig7.{name}.wd_generalises": read(
                        "generalising", preset=preset, panel=[0, 2]
                    )
                },
                comparison=Order(ascending=True),
                reason=f"{_SIGN}; decays 0 and {decay} of our scan",
            ),
            Entry(
                id=f"1/sec2.2-{name}-full-decay",
                figure="Sec. 2.2",
                claim="with weight decay there is Full Inversion",
                source=source,
                reads={
                    f"cells of Full Inversion at weight decay {decay}, {preset}": read(
                        "cells", preset=preset, panel=2, phase="full inversion"
                    )
                },
                comparison=Region(low=1),
                reason="else 'only with weight decay' would hold for networks that never invert",
                says="exists",
            ),
            Entry(
                id=f"1/sec2.2-{name}-full",
                figure="Sec. 2.2",
                claim="Full Inversion only with weight decay",
                source=without,
                reads={
                    f"p1.sec2.2.{name}.full_inversion_needs_wd": read(
                        "cells",
                        preset=without.name,
                        panel=panels,
                        phase="full inversion",
                    )
                },
                comparison=Region(high=0),
                reason="2 % of the cells are none of nine; without decay, of the transformer at "
                "every dropout",
            ),
        )
    ),
    Entry(
        id="1/sec2.2-mlp3-full-dropout",
        figure="Sec. 2.2",
        claim="nor with dropout (three layers)",
        source=DEEP_DROPOUT,
        reads={
            "cells of Full Inversion, dropout 0 and .05": read(
                "full_inversion", dropout=[0.0, 0.05]
            )
        },
        comparison=Region(high=0),
        reason="2 % of the cells are none of four",
        says="0",
    ),
    Entry(
        id="1/sec2.2-mlp3-full-norm",
        figure="Sec. 2.2",
        claim="nor with BatchNorm (three layers)",
        source=DEEP_NORM,
        reads={"Full Inversion without weight decay": read("inverts_without_decay")},
        comparison=Value(equals=0.0),
        reason="in no seed, of one cell",
        says="0",
    ),
    Entry(
        id="1/sec2.2-transformer-dropout",
        figure="Sec. 2.2",
        claim="dropout mostly extends Confusion (transformer)",
        source=TRANSFORMER_DROPOUT,
        reads={
            "p1.sec2.2.transformer.dropout_confusion": read(
                "cells", preset="fig13", panel=[0, 2], phase="confusion"
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
        reads={"p1.hyp2.2": read("least_periodic", kind=["transformer", "layers"])},
        comparison=Region(low=2),
        reason="twice the mean IPR of noise, for every network of Figs. 7 and 12 to 14 that "
        "generalises; the operational form is ours",
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
        reads={"p1.fig13.large_dp_no_help": read("generalising_ratio", preset="fig13", panel=2)},
        comparison=Region(high=1),
        reason="no more cells generalise at .2 than at .1, where some must",
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
    *(
        Entry(
            id=f"1/{figure}-relative",
            figure=f"Fig. {figure[3:5]}",
            claim="the input's mean IPR stays, as a share of what is above noise",
            source=TABLES,
            reads={
                f"largest change of the input's mean IPR over what is above noise, {words}": read(
                    "relative_change", figure=figure
                )
            },
            comparison=Bound(high=0.2),
            reason="a fifth; .1 of IPR may be most of what these networks have above noise",
            says="does not change",
        )
        for figure, words in (("fig12-depth", "depth"), ("fig14", "lazier"))
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
)
