"""Equations, data sets and phase tables: what can be checked without training a network.

Eqs. 1, 4, 5 and 9 (network, mean IPR, BatchNorm, gradients) define what all other entries compute;
the tests check them.
"""

from analyses.ledger.comparisons import Bound, Holds, Value
from analyses.ledger.entry import Entry, Source, read

_MEASURES = "analyses.ledger.measures.closed_form"
NETWORK = Source(
    name="analytic_network",
    compute=f"{_MEASURES}:analytic_network",
    settings={"widths": [500, 97, 48]},
    seeds=10,
    tier="quick",
    minutes=0.3,
)
PERIODICITY = Source(
    name="periodicity_range",
    compute=f"{_MEASURES}:periodicity_range",
    seeds=5,
    tier="quick",
    minutes=0.02,
)
DATA = Source(
    name="data_sets", compute=f"{_MEASURES}:data_sets", seeds=5, tier="quick", minutes=0.02
)
PHASES = Source(
    name="phase_tables", compute=f"{_MEASURES}:phase_tables", tier="quick", minutes=0.02
)
IGNORING = Source(
    name="ignoring_network",
    compute=f"{_MEASURES}:network_that_ignores_wrong_labels",
    seeds=5,
    tier="quick",
    minutes=0.02,
)
BATCHES = Source(
    name="batch_rule",
    compute="analyses.ledger.measures.released_code:batch_rule",
    tier="quick",
    minutes=0.02,
)

_COUNTS = {"n_train": "n_train", "n_noise": "n_selected", "n_unchanged": "n_unchanged"}
_CELLS = {"p1.data.alpha0.5.xi0.35": "0.5, 0.35", "p1.data.alpha0.65.xi0.2": "0.65, 0.2"}

ENTRIES = (
    Entry(
        id="1/eq2-accuracy",
        figure="Eq. 2",
        claim="the analytic network answers every pair",
        source=NETWORK,
        reads={
            "p1.eq2.N500.accuracy": read("accuracy", width=500),
            "p1.eq2.N97.accuracy": read("accuracy", width=97),
        },
        comparison=Value(absolute=0.005),
        reason="draws of the phases differ by less than .005 at these widths",
    ),
    Entry(
        id="1/eq2-mse",
        figure="Eq. 2",
        claim="loss of the analytic network: 4/N, far above a trained one",
        source=NETWORK,
        reads={"p1.eq2.N500.mse": read("mse", width=500)},
        comparison=Value(relative=0.10),
        reason="the published value is one draw of the phases",
    ),
    Entry(
        id="1/eq2-noise",
        figure="Eq. 6",
        claim="terms with a leftover phase are noise of 2/sqrt(N)",
        source=NETWORK,
        reads={"p1.eq2.N500.offpeak_rms": read("off_peak", width=500)},
        comparison=Value(relative=0.05),
        reason="2/sqrt(N) is the limit of many neurons; at 500 it is off by a few per cent",
    ),
    Entry(
        id="1/eq2-width",
        figure="Eq. 2",
        claim="p/2 neurons suffice",
        source=NETWORK,
        reads={"p1.eq2.N48.accuracy": read("accuracy", width=48)},
        comparison=Bound(high=0.95),
        reason="draws lie between .81 and .88, so .95 is far outside",
        differs="The number p/2 counts frequencies. A network of 48 neurons with the analytic "
        "weights answers about 85 % of the pairs, so it is no sufficient width.",
    ),
    Entry(
        id="1/eq3-range",
        figure="Eq. 3",
        claim="the IPR lies between 1/p and 1",
        source=PERIODICITY,
        reads={"p1.eq3.range": read("smallest", seeds=1)},
        comparison=Value(equals=1 / 49, absolute=1e-9),
        reason="closed form: a single spike has equal shares in all 49 frequencies",
        says="1/p",
        differs="The authors' code uses a one-sided transform, with (p + 1)/2 = 49 frequencies, so "
        "the IPR lies in [1/49, 1]. With a two-sided one, whose least value is 1/p, a pure cosine "
        "would score 1/2 and not 1.",
    ),
    Entry(
        id="1/eq3-cosine",
        figure="Eq. 3",
        claim="a pure cosine has IPR 1",
        source=PERIODICITY,
        reads={"IPR of a pure cosine": read("largest", seeds=1)},
        comparison=Value(equals=1.0, absolute=1e-9),
        reason="closed form",
        says="1",
    ),
    Entry(
        id="1/eq3-noise",
        figure="Eq. 3",
        claim="mean IPR of Gaussian rows",
        source=PERIODICITY,
        reads={"p1.eq3.noise_mean": read("noise")},
        comparison=Value(absolute=0.001),
        reason="ten thousand rows give the mean to 1e-4; a two-sided transform gives .0203",
    ),
    Entry(
        id="1/data-counts",
        figure="Sec. 1.1",
        claim="training pairs, redrawn labels, and redrawn labels that stayed true",
        source=DATA,
        reads={
            f"{beginning}.{name}": read(variable, cell=cell, seeds=1)
            for beginning, cell in _CELLS.items()
            for name, variable in _COUNTS.items()
        },
        comparison=Value(),
        reason="counts of the authors' own split and noise are exact",
    ),
    Entry(
        id="1/data-floor",
        figure="Sec. 1.1",
        claim="train accuracy when only the changed labels are missed",
        source=DATA,
        reads={
            "p1.data.alpha0.65.xi0.2.full_inversion_floor": read("floor", cell="0.65, 0.2", seeds=1)
        },
        comparison=Value(absolute=1e-9),
        reason="a count",
    ),
    Entry(
        id="1/plateau",
        figure="Sec. 1.1",
        claim="the plateau of Full Inversion is 1 - xi",
        source=DATA,
        reads={"plateau minus (1 - xi + xi/p)": read("plateau_error")},
        comparison=Bound(low=-0.0018, high=0.0018),
        reason="the number of labels that stay true is binomial, 17 +- 4 of 4704",
        says="1 - xi",
        differs="A redrawn label is the true one in 1 of p cases, so a network that ignores wrong "
        "labels has a train accuracy of 1 - xi + xi/p: .6536 instead of .65 at xi = .35.",
    ),
    Entry(
        id="1/loss-zero",
        figure="Sec. 1.1",
        claim="loss of a network whose outputs are all zero",
        source=DATA,
        reads={"p1.loss.zero_output_mse": read("zero_mse", seeds=1)},
        comparison=Value(absolute=1e-7),
        reason="float32 rounding of 1/97",
    ),
    Entry(
        id="1/tables-phases",
        figure="Tables 1, 2",
        claim="the phases of the six runs whose accuracies are printed",
        source=PHASES,
        reads={"p1.table1.qualitative": read("printed_runs")},
        comparison=Value(equals=1.0),
        reason="every printed run has one phase",
    ),
    Entry(
        id="1/tables-partition",
        figure="Tables 1, 2",
        claim="each network that generalises is in one phase",
        source=PHASES,
        reads={"p1.table2.thresholds": read("overlap", xi=0.1)},
        comparison=Bound(low=0.01),
        reason="one point of the grid of accuracies in a hundred shows an overlap",
        says="three exclusive conditions",
        differs="For xi below .15 the bound 1.05 - xi lies above .90: Partial Inversion is empty, "
        "and networks with a train accuracy between are in Coexistence and in Full Inversion. "
        "Without corruption every network that generalises is in both.",
    ),
    Entry(
        id="1/tables-large-xi",
        figure="Tables 1, 2",
        claim="for xi of at least .15 the conditions exclude each other",
        source=PHASES,
        reads={"share of accuracies with two phases at xi .35": read("overlap", xi=0.35)},
        comparison=Value(equals=0.0),
        reason="closed form",
        says="0",
    ),
    Entry(
        id="1/tables-ignoring",
        figure="Tables 1, 2",
        claim="a network that knows no wrong label is in Full Inversion",
        source=IGNORING,
        reads={"analytic network mod 7, half of the labels redrawn": read("full_inversion")},
        comparison=Holds(),
        reason="a definition",
        says="memorises none",
    ),
    Entry(
        id="1/E7-selected",
        figure="Tables 1, 2",
        claim="corrupted labels are those that were redrawn",
        source=IGNORING,
        reads={"accuracy of the same network on redrawn labels": read("redrawn_known")},
        comparison=Bound(low=0.02),
        reason="a seventh of about 19 labels; any of them is too many",
        says="0",
        differs="Redrawn labels include those that stayed true, 1 in p, which a network that has "
        "memorised nothing answers. Memorisation must be measured on the changed ones.",
    ),
    Entry(
        id="1/tables-notebook",
        figure="Tables 1, 2",
        claim="the notebook calls its mini-batch run Partial Inversion",
        source=PHASES,
        of_publication=True,
        reads={"table 2 gives Partial Inversion": read("notebook_partial")},
        comparison=Value(equals=0.0),
        reason="a formula on printed numbers: nothing is trained, and the row cannot fail",
        says="Partial Inversion",
        differs="By table 2 the printed accuracies, .8185 and 1.0 at xi = .2, are Full Inversion: "
        ".8185 is below 1.05 - .2.",
    ),
    Entry(
        id="1/uninitialised",
        figure="Fig. 10, code",
        claim="the full-batch column of the sweep without a norm",
        source=BATCHES,
        of_publication=True,
        reads={"steps taken at batch size -1": read("steps", batch=-1)},
        comparison=Value(equals=0.0),
        reason="a formula on printed numbers: nothing is trained, and the row cannot fail",
        says="2000",
        differs="The released sweep takes 2000 * 256 / B steps, and full batches are B = -1: its "
        "loop never runs, and the column holds uninitialised memory. No conclusion rests on it.",
    ),
)
