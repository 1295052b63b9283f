"""A base config whose runs take milliseconds, and ways to look at what a sweep did."""

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xarray as xr

import grokinterp as gi
from grokinterp.sweeps import work

BASE = gi.RunConfig(
    data=gi.DataConfig(p=7, train_fraction=0.6, corruption=0.3),
    model=gi.MLPConfig(d_mlp=8),
    training=gi.TrainConfig(steps=8, eval_every=4),
)


@pytest.fixture(autouse=True, scope="module")
def unchecked_runs(request: pytest.FixtureRequest) -> None:
    """Shapes are checked where training is tested; here this takes a third of the time."""
    if not request.module.__name__.endswith("test_fingerprint"):  # which is of checked functions
        request.getfixturevalue("no_type_checker_in_module")


@pytest.fixture
def base() -> gi.RunConfig:
    return BASE


def seed_of(run: gi.Run) -> list[int]:
    """A measure."""
    return [run.config.seed, 5]


def swept(store: Path | None, **changes) -> xr.Dataset:
    """The result of a sweep of twelve runs, with changes."""
    arguments = {
        "base": BASE,
        "axes": {"training.lr": [1e-3, 1e-2, 1e-1], "data.corruption": [0.0, 0.2]},
        "seeds": 2,
        "measure": {"m": seed_of},
        "store": store,
        "chunk": 4,  # two learning rates, two seeds: the last block is cut off
        "device": "cpu",
        "progress": False,
    }
    return gi.sweep(**(arguments | changes))


@pytest.fixture
def sweep(store: Path) -> Callable[..., xr.Dataset]:
    """Runs one sweep of twelve runs, with changes."""
    return functools.partial(swept, store=store)


@pytest.fixture(scope="session")
def finished_sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    """A store to copy, and what its sweep returned."""
    store = tmp_path_factory.mktemp("sweep") / "s"
    return store, swept(store).load()


@pytest.fixture
def first(finished_sweep: tuple[Path, xr.Dataset], store: Path) -> xr.Dataset:
    """What the sweep returned that is finished in ``store``; nothing is trained for it."""
    finished, result = finished_sweep
    shutil.copytree(finished, store)
    return result.copy(deep=True)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the fixture ``sweep`` stores its runs."""
    return tmp_path / "s"


@pytest.fixture
def same() -> Callable[[xr.Dataset, xr.Dataset], None]:
    """Equal in all numbers and labels; how and when it was trained may differ."""

    def check(one: xr.Dataset, other: xr.Dataset) -> None:
        one, other = one.load(), other.load()
        assert one.attrs["base"] == other.attrs["base"]
        xr.testing.assert_allclose(one.drop_attrs(), other.drop_attrs(), rtol=1e-5, atol=1e-7)
        assert list(one.data_vars) == list(other.data_vars)

    return check


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[gi.RunConfig]:
    """The configs trained in this process so far, as a list that grows."""
    seen: list[gi.RunConfig] = []
    train_each = work.train_each

    def watched(configs, *how, **more):
        seen.extend(configs)
        return train_each(configs, *how, **more)

    monkeypatch.setattr(work, "train_each", watched)
    return seen


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder, to see that nothing changed."""

    def read(folder: Path) -> dict[str, bytes]:
        files = (file for file in folder.rglob("*") if file.is_file())
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}

    return read


@pytest.fixture
def measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A module of measures that worker processes can import."""
    import importlib
    import sys

    folder = tmp_path / "modules"
    folder.mkdir()
    # Paths are written into it: a fork server's children have its environment, not the test's.
    (folder / "sweep_measures.py").write_text(
        "import os, signal, time, torch\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from pathlib import Path\n"
        f"FOLDER = Path({str(tmp_path)!r})\n"
        "def threads(run): return torch.get_num_threads()\n"
        "def pid(run): return os.getpid()\n"
        "def kill_once(run):\n"
        "    flag = FOLDER / 'kill'\n"
        "    if run.config.seed == 2 and flag.exists():\n"
        "        flag.unlink()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return run.config.seed\n"
        "def kill_always(run):\n"
        "    if run.config.seed == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return run.config.seed\n"
        "def wait_long(run):\n"
        "    (FOLDER / f'working {os.getpid()}').touch()\n"
        "    time.sleep(600)\n"
        "def drive(base, method):\n"
        "    import grokinterp as gi\n"
        "    with ProcessPoolExecutor(3, get_context(method)) as pool:\n"
        "        gi.sweep(base, {}, 2, {'m': wait_long}, None, pool, chunk=1, device='cpu',\n"
        "                 progress=False)\n"
        "def note_errors():\n"
        "    file = os.open(FOLDER / 'stderr', os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "    os.dup2(file, 2)\n"
    )
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module("sweep_measures")
    sys.modules.pop("sweep_measures", None)
