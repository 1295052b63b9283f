"""The key of a computation's code: which edits throw a result away, and which do not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from analyses.ledger.code_key import PACKAGES, ROOT, code_key, reached
from analyses.ledger.entry import NETWORKS

RUNS = "analyses.ledger.measures.published_runs:runs_by_decay"
TABLES = "analyses.ledger.measures.closed_form:phase_tables"
RANGE = "analyses.ledger.measures.closed_form:periodicity_range"
OPTIMIZER = "grokinterp/training/optimizer.py"
PASSES = "grokinterp/training/passes/__init__.py"
Key = Callable[[str, str, str, str], str]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three packages, without data, to edit."""
    root = tmp_path_factory.mktemp("code")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, root / package, ignore=shutil.ignore_patterns("*.json", "*.nc")
        )
    return root


@pytest.fixture
def key_after(copy: Path) -> Key:
    """The key of ``start`` once ``old`` is replaced by ``new`` in a file, which is restored."""

    def edit(start: str, file: str, old: str, new: str) -> str:
        path = copy / file
        before = path.read_text()
        assert before.count(old) >= 1, f"{file} has no {old!r}"
        path.write_text(before.replace(old, new, 1))
        try:
            return code_key(start, root=copy)
        finally:
            path.write_text(before)

    return edit


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (OPTIMIZER, '"""An optimiser for a stack', '"""One for a stack'),
        (OPTIMIZER, "# Adam's first moment, or", "# the first moment, or"),
        (OPTIMIZER, 'weights: Float[Tensor, "run n"],', "weights: Tensor,"),
        (OPTIMIZER, "        self.taken += 1\n", "\n\n        self.taken += 1\n"),
        ("grokinterp/config/training.py", "raise ValueError(", "raise ValueError('new', "),
        ("probes/gini.py", "return ", "return 2 * "),
        ("analyses/one_run/phases.py", "figure = go.Figure()", "figure = None"),
        ("analyses/pages/style.py", "finish", "finished"),
        ("analyses/cli/runs.py", "demo", "demonstration"),
    ],
)  # fmt: skip
def test_what_computes_nothing_keeps_a_result(
    file: str, old: str, new: str, key_after: Key, copy: Path
) -> None:
    """A docstring, a comment, an annotation, layout, a message; a module not used; a figure."""
    assert key_after(RUNS, file, old, new) == code_key(RUNS, root=copy)


@pytest.mark.parametrize(
    ("start", "file", "old", "new"),
    [  # eps inside the root; a two-sided spectrum; redrawn labels counted instead of changed ones
        (
            RUNS,
            OPTIMIZER,
            "torch.sqrt(second, out=update).add_((self._eps * bias2_root).to(update))",
            "torch.sqrt(second + (self._eps * bias2_root).to(update), out=update)",
        ),
        (
            RUNS,
            "probes/fourier.py",
            "torch.fft.rfft(weights.double(), dim=-1).abs",
            "torch.fft.fft(weights.double(), dim=-1).abs",
        ),
        (
            RANGE,
            "probes/fourier.py",
            "torch.fft.rfft(weights.double(), dim=-1).abs",
            "torch.fft.fft(weights.double(), dim=-1).abs",
        ),
        (TABLES, "analyses/one_run/phases.py", "ends.changed) >=", "ends.train) >="),
        (
            RUNS,
            "analyses/one_run/phases.py",
            '"test", "train", "changed"',
            '"test", "train", "selected"',
        ),
        (RUNS, "analyses/one_run/phases.py", "is_changed", "is_selected"),
        (RUNS, "analyses/statistics/thresholds.py", "0.9", "0.8"),
        (RUNS, "analyses/ledger/measures/curves.py", "0.05", "0.06"),
    ],
)
def test_what_computes_throws_a_result_away(
    start: str, file: str, old: str, new: str, key_after: Key, copy: Path
) -> None:
    assert key_after(start, file, old, new) != code_key(start, root=copy)


def test_definitions_are_followed_through_imports_and_re_exports() -> None:
    found = reached(RUNS)
    assert "grokinterp.training.optimizer:StackedOptimizer" in found  # gi.train_many -> ... -> it
    assert "probes.fourier:power_shares" in found
    assert "analyses.one_run.phases:phase_of" in found
    assert not any("plot_" in name or ".pages" in name or ".tracking" in name for name in found)


def test_an_architecture_that_is_not_used_is_left_out(key_after: Key, copy: Path) -> None:
    file, old, new = "grokinterp/models/lstm.py", "def forward(", "def forward(self_, "
    without = ("grokinterp.models.lstm",)
    before = code_key(RUNS, root=copy), code_key(RUNS, root=copy, without=without)
    assert key_after(RUNS, file, old, new) != before[0]
    path = copy / file
    text = path.read_text()
    path.write_text(text.replace(old, new, 1))
    after = code_key(RUNS, root=copy, without=without)
    path.write_text(text)
    assert after == before[1]


def test_the_list_of_experiments_computes_nothing() -> None:
    found = reached("analyses.ledger.measures.experiments:grokking")
    assert "analyses.ledger.measures.experiments:findings" in found  # which looks a name up there
    assert not [name for name in found if name.startswith("analyses.registry")]


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(ValueError, match=r"phases:classifi does not exist"):
        code_key("analyses.one_run.phases:classifi")
    with pytest.raises(ValueError, match=r"analyses\.nothing is not a module"):
        code_key("analyses.nothing:f")


def test_every_way_to_import_is_followed(tmp_path: Path) -> None:
    """Packages that import themselves, relative imports, re-exports, modules as values."""
    files = {
        "grokinterp/__init__.py": "from grokinterp import parts\nfrom grokinterp.parts import one",
        "grokinterp/parts/__init__.py": "from .deep import one\nfrom . import deep as other",
        "grokinterp/parts/deep.py": "SCALE = 2\ndef one(): return SCALE\ndef two(): return 3",
        "analyses/__init__.py": "",
        "analyses/use.py": (
            "import grokinterp as gi\nimport grokinterp.parts.deep\n"
            "def by_name(): return gi.one()\n"
            "def by_parts(): return gi.parts.other.two()\n"
            "def inside():\n    from grokinterp.parts import other\n    return other.one\n"
            "def full(): return grokinterp.parts.deep.two()\n"
            "def missing():\n    from grokinterp.parts import three\n    return three\n"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def names(function: str) -> set[str]:
        found = reached(f"analyses.use:{function}", root=tmp_path)
        return {name.partition(":")[2] for name in found if "deep" in name and "<" not in name}

    assert names("by_name") == names("inside") == {"one", "SCALE"}
    assert names("by_parts") == names("full") == {"two"}
    with pytest.raises(ValueError, match=r"grokinterp\.parts:three does not exist"):
        names("missing")


@pytest.mark.parametrize(
    ("item", "without", "same"),
    [
        ("TransformerPasses", NETWORKS["transformer"], True),
        ("TransformerPasses", (), False),
        ("HandWrittenPasses", NETWORKS["transformer"], False),
    ],
)
def test_an_item_for_other_networks_is_not_in_the_key(
    item: str, without: tuple[str, ...], same: bool, copy: Path
) -> None:
    """So that a new way to train one architecture keeps the results of the others."""
    start, path = "grokinterp.training.passes:choose_passes", copy / PASSES
    before, key = path.read_text(), code_key(start, without=without, root=copy)
    assert f"    {item},\n" in before
    path.write_text(before.replace(f"    {item},\n", "", 1))
    try:
        assert (code_key(start, without=without, root=copy) == key) == same
    finally:
        path.write_text(before)
