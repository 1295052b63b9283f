"""Write the tables of docs/performance.md from the results of the benchmarks.

    python -m tests.benchmarks.page

A table stands between ``<!-- table NAME of FOLDER -->`` and ``<!-- end of table -->``; FOLDER is
one of ``tests/benchmarks/results/``. A test fails if the page is not what this would write.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.checkout import ROOT

PAGE, RESULTS = ROOT / "docs/performance.md", ROOT / "tests/benchmarks/results"
_TABLE = re.compile(r"(<!-- table ([\w ]+) of (\S+) -->\n\n)(.*?)(\n<!-- end of table -->)", re.S)
Rows = Iterator[Sequence[str]]


def _both(test: str) -> list[str]:
    return [test.format(precision) for precision in PRECISIONS]


def _batches(name: str, threads: int) -> list[str]:
    return [f"transformer.py::test_training_step[{name}-{size}-{threads}]" for size in BATCHES]


PRECISIONS, BATCHES = ("float32", "bfloat16"), ("None", "512")
# Words for a row of the table of ratios, and its benchmarks.
SUBJECTS: Sequence[tuple[str, Sequence[str]]] = [
    ("a training step: float32, bfloat16", _both("step.py::test_step[{}-2]")),
    ("the same on one thread", _both("step.py::test_step[{}-1]")),
    ("a run's step in a stack of 16", _both("step.py::test_stack_of_16[{}]")),
    (
        "`gi.train`, set-up and a row every 10 steps included, per step",
        _both("step.py::test_train_with_its_evaluations[{}]"),
    ),
    ("ten steps and a row of the history", _both("step.py::test_history[{}-2]")),
    ("the same on one thread", _both("step.py::test_history[{}-1]")),
    (
        "a step with dying neurons, as after 1500 steps of weight decay 15",
        _both("step.py::test_late_step[{}]"),
    ),
    (
        "2000 steps of weight decay 15 (p 31, 128 neurons)",
        _both("step.py::test_long_run[15.0-{}]"),
    ),
    ("2000 steps of weight decay 20", _both("step.py::test_long_run[20.0-{}]")),
    (
        "a step of two runs with dropout: .3, .9",
        ["stack.py::test_dropout[0.3]", "stack.py::test_dropout[0.9]"],
    ),
    ("a step of nine runs, train fractions .1 to .9", ["stack.py::test_unequal_training_sets"]),
    ("a run's step in a stack of 16, p 31 and 64 neurons", ["stack.py::test_small_runs"]),
    ("ten steps and a row of 256 such runs", ["stack.py::test_many_small_runs"]),
    (
        "a step of 48 of the second paper's small transformers, MLPs",
        ["stack.py::test_second_paper[transformer]", "stack.py::test_second_paper[mlp]"],
    ),
    ("a sweep of 64 runs of 200 steps (p 47, 128 neurons)", ["sweep.py::test_sweep_of_64"]),
    (
        "8 runs of the second paper's small transformer, LSTM and MLP as a sweep in two processes",
        [f"sweep.py::test_processes[{name}]" for name in ("transformer", "lstm", "mlp")],
    ),
    (
        "27 runs of the data-efficiency grid (p 31, 1-layer transformer) as one sweep",
        ["data_efficiency.py::test_sample_of_the_small_grid"],
    ),
    (
        'a step of the 1-layer transformer ("a b ="): full batch, 512',
        _batches("three tokens", 2),
    ),
    ("the same on one thread", _batches("three tokens", 1)),
    ('of the first paper\'s transformer ("a b", bidirectional)', _batches("paper 1", 2)),
    ("the same on one thread", _batches("paper 1", 1)),
    (
        'of the second paper\'s transformer (2 layers, "eos a + b =")',
        _batches("paper 2", 2),
    ),
    ("the same on one thread", _batches("paper 2", 1)),
    (
        "with bfloat16 products: 1 layer, full batch and 512; 2 layers, full batch and 512",
        [
            f"transformer.py::test_bfloat16_products[{name}-{size}]"
            for name in ("three tokens", "paper 2")
            for size in BATCHES
        ],
    ),
    (
        "a hooked transformer in a loop of one's own: the three above",
        [
            f"transformer.py::test_step_of_ones_own[{name}]"
            for name in ("three tokens", "paper 1", "paper 2")
        ],
    ),
    (
        "a step of the LSTM in a loop of one's own: full batch, 512",
        ["lstm.py::test_step[4704]", "lstm.py::test_step[512]"],
    ),
    ("a pruning curve: 500 neurons of an MLP", ["pruning.py::test_pruning_curve"]),
    (
        "512 neurons of a transformer: no norm, a norm, a norm and a layer behind",
        [f"unit_pruning.py::test_unit_pruning[{kind}]" for kind in ("None-1", "LN-1", "LN-2")],
    ),
]


def ratios(folder: Path) -> Rows:
    """Every benchmark against its baselines."""
    found = _read(folder, "ratios")
    yield "what", "ms", "against", "ratio"
    for words, tests in SUBJECTS:
        timed = [found[f"bench_{test}"] for test in tests]
        first = words, ", ".join(f"{one['ms']:.3g}" for one in timed)
        for baseline in timed[0]["against"]:
            each = [one["against"][baseline]["ratio"] for one in timed]
            yield *first, baseline, ", ".join(f"{ratio:.2f}" for ratio in each)
            first = "", ""


def memory(folder: Path) -> Rows:
    """Peak memory above that of one run."""
    yield "", "MiB"
    for name, mib in _read(folder, "ratios")["memory"].items():
        yield name, f"{mib:.0f}"


def against(folder: Path) -> Rows:
    """The present version and an older one, in turn."""
    yield "call", "before, s", "now, s", "now / before", "its quartiles"
    for name, found in _read(folder, "against").items():
        lower, upper = found["quartiles"]
        times = (f"{found[key]:.2f}" for key in ("before, s", "now, s", "now / before"))
        yield name, *times, f"{lower:.2f} to {upper:.2f}"


def parts(folder: Path) -> Rows:
    """Where the time of a step goes."""
    found = _read(folder, "step_parts")["parts"]
    kinds = list(dict.fromkeys(kind for step in found.values() for kind in step["shares"]))
    yield "one step, on one core", "ms", *kinds
    for name, step in found.items():
        shares = (step["shares"].get(kind) for kind in kinds)
        yield name, f"{step['ms']:.3g}", *("" if s is None else f"{100 * s:.0f} %" for s in shares)


def blocks(folder: Path) -> Rows:
    """Time with blocks of other sizes."""
    found = _read(folder, "step_parts")["block_sizes"]
    factors = next(iter(found.values()))["time by factor"]
    yield "one step, on one core", "size in use, MB", *(f"times {factor}" for factor in factors)
    for name, of in found.items():
        times = (f"{ratio:.2f}" for ratio in of["time by factor"].values())
        yield name, f"{of['bytes in use'] / 1e6:.1f}", *times


def step(folder: Path) -> Rows:
    """The default run's step, against its products at the speed of large ones."""
    found = _read(folder, "cost")
    yield "", *(text for kind in PRECISIONS for text in (f"{kind}, ms", "of the products' time"))
    for words, threads, runs in (
        ("one run, two cores", 2, "1"),
        ("a run in a stack of 16, two cores", 2, "16"),
        ("one run, one core", 1, "1"),
    ):
        cells = []
        for kind in PRECISIONS:
            ms = found["steps"][f"{kind}, default, runs in a stack, {threads} threads"][runs]
            speed = found["peaks"][f"{kind}, {threads} threads, GFLOP/s"]
            cells += [f"{ms:.1f}", f"{ms / (1e3 * PRODUCTS / speed):.2f}"]
        yield words, *cells


def growth(setting: str, words: str) -> Callable[[Path], Rows]:
    """A table of the step's time with one setting changed."""

    def rows(folder: Path) -> Rows:
        steps = _read(folder, "cost")["steps"]
        yield words, *steps[f"float32, {setting}"]
        for kind in PRECISIONS:
            yield f"{kind}, ms", *(f"{ms:.1f}" for ms in steps[f"{kind}, {setting}"].values())

    return rows


def cluster(folder: Path) -> Rows:
    """Simulated times on many nodes."""
    found = _read(folder, "cost")["cluster"]
    seconds = {key.split()[0]: s for key, s in found.items() if key.endswith(", s")}
    shares = [share for key, share in found.items() if key.endswith("efficiency")]
    yield "nodes", *seconds
    yield "time", *(f"{s / 60:.1f} min" if s > 90 else f"{s:.0f} s" for s in seconds.values())
    yield "of the ideal speed", *(f"{share:.2f}" for share in shares)


def gpu(folder: Path) -> Rows:
    """A step of a stack on a GPU."""
    timed = _read(folder, "gpu")["timings"]
    yield (
        "precision",
        "a step of 64 runs",
        "without CUDA graph",
        "their three products",
        "plain loop, one run",
        "step / products",
        "a run's step / plain loop",
    )
    for kind in ("float32", "tf32", "bfloat16", "float64"):
        times = timed[f"stack of 64, {kind}"]
        taken = [times[key] for key in ("stack", "stack without graph", "products")]
        taken.append(times["plain loop of one run, float32"])
        ratios = f"{taken[0] / taken[2]:.2f}", f"{taken[0] / 64 / taken[3]:.3f}"
        yield kind, *(f"{ms:.2f}" for ms in taken), *ratios


def gpu_networks(folder: Path) -> Rows:
    """A step of the second paper's networks on a GPU."""
    timed = _read(folder, "gpu")["timings"]
    yield "three runs as a stack", "a step", "without CUDA graph"
    names = {"transformer": "transformer, two layers", "lstm": "LSTM", "mlp": "embedding MLP"}
    for network, words in names.items():
        times = timed[f"{network} of the second paper, stack of 3"]
        yield words, f"{times['stack']:.2f}", f"{times['stack without graph']:.3g}"


def gpu_experiments(folder: Path) -> Rows:
    """Two experiments at full size on a GPU."""
    found = _read(folder, "gpu")
    diagram, transformer = found["fig3a"]["seed 0"], found["paper2"]["transformer"]
    yield "experiment", "runs", "steps each", "seconds"
    yield (
        "the first paper's Fig. 3a: 17 x 19 cells, four weight decays, bfloat16",
        f"{diagram['runs']}",
        "2000",
        f"{diagram['seconds']:.0f}",
    )
    yield (
        "the second paper's Fig. 1: transformer on 30, 50 and 70 % of the pairs",
        f"{transformer['runs']}",
        f"{transformer['steps']}",
        f"{transformer['seconds']:.0f}",
    )


PRODUCTS = 3 * 2 * 4704 * 500 * 97 / 1e9  # of the default run's step: GFLOP
TABLES: Mapping[str, Callable[[Path], Rows]] = {
    "ratios": ratios,
    "memory": memory,
    "against": against,
    "parts": parts,
    "blocks": blocks,
    "step": step,
    "p": growth("data.p", "p (half of the pairs, 500 neurons)"),
    "neurons": growth("model.d_mlp", "neurons"),
    "train fraction": growth("data.train_fraction", "train fraction"),
    "cluster": cluster,
    "gpu": gpu,
    "gpu networks": gpu_networks,
    "gpu experiments": gpu_experiments,
}


def _read(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    found.pop("about")
    return found


def written(page: str) -> str:
    """The page with every table as its results have it."""

    def table(match: re.Match[str]) -> str:
        head, name, folder, _, tail = match.groups()
        titles, *rows = (f"| {' | '.join(row)} |" for row in TABLES[name](RESULTS / folder))
        line = "|" + "---|" * (titles.count("|") - 1)
        return head + "\n".join([titles, line, *rows, ""]) + tail

    return _TABLE.sub(table, page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
