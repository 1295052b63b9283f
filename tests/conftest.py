"""Fixtures that several packages' tests share."""

import gc
import io
import multiprocessing
import multiprocessing.forkserver
import os
import sys
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import jaxtyping
import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from tests import array_checks

array_checks.install()  # before anything of ours is imported

import grokinterp as gi  # noqa: E402
from analyses.one_run import grokking  # noqa: E402

settings.register_profile("grokinterp", deadline=None)  # a busy machine is no bug
settings.load_profile("grokinterp")
if "PYTEST_XDIST_WORKER" in os.environ:  # several test processes share the cores
    torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several test processes one thread of NumPy's and SciPy's BLAS, too.

    BLAS reads the variable when it is loaded, which in the processes to come is later.
    """
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """Leave what the imports made out of garbage collections, which would visit it each time."""
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_run() -> gi.Run:
    """A trained run with corrupted labels, a fraction of a second to make. Only read it."""
    config = gi.RunConfig(
        data=gi.DataConfig(p=11, train_fraction=0.6, corruption=0.3, seed=3),
        model=gi.MLPConfig(d_mlp=16),
        training=gi.TrainConfig(steps=40, eval_every=10, weight_decay=1.0),
        seed=5,
    )
    return gi.train(config, device="cpu", progress=False)


@pytest.fixture(scope="session")
def with_weak_neurons() -> gi.HookedMLP:
    """The analytic solution, and neurons of noise whose weights are 2e-4 as large. Only read it."""
    p, living, width = 13, 60, 100
    rng = torch.Generator().manual_seed(0)
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=width), p=p)
    solution = gi.closed_form_mlp(p=p, d_mlp=living)
    size = 2e-4 * solution.W_E.std().item()
    with torch.no_grad():
        model.W_E.copy_(size * torch.randn(2, p, width, generator=rng))
        model.W_U.copy_(size * torch.randn(width, p, generator=rng))
        model.W_E[..., :living] = solution.W_E
        model.W_U[:living] = solution.W_U
    return model


@pytest.fixture(scope="session")
def published_run(tmp_path_factory: pytest.TempPathFactory) -> gi.Run:
    """The first paper's Fig. 1a, its data bit for bit; half a minute to make. Only read it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # above that of each test process
        folder = folder.parent
    with FileLock(folder / "published.lock"):
        if not (folder / "published").exists():
            config = gi.RunConfig(
                data=gi.DataConfig(corruption=0.35, protocol="published"),
                training=gi.TrainConfig(steps=1000, eval_every=20),
            )
            gi.train(config, probes=grokking.PROBES, progress=False).save(folder / "published")
    return gi.Run.load(folder / "published")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For small tensors: a second thread would only wait, and long if the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Terminal(io.StringIO):
    """What is written to it can be read, and it says that it is a terminal."""

    def isatty(self) -> bool:
        """As a terminal's."""
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """``terminal()`` lets errors and progress bars go to a terminal, and returns it.

    To be called in the test: between its fixtures and the test pytest sets stderr anew.
    """

    def open_terminal() -> Terminal:
        monkeypatch.setattr(sys, "stderr", stderr := Terminal())
        return stderr

    return open_terminal


def unchecked() -> Iterator[None]:
    """What a user meets, who has no import hook: the code's own checks must refuse bad input."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


no_type_checker = pytest.fixture(unchecked)
no_type_checker_in_module = pytest.fixture(unchecked, scope="module")


@pytest.fixture(scope="session")
def forkserver() -> ForkServerContext:
    """Starts processes as copies of one that has imported everything and done nothing else.

    They are as good as new, but there in no time: a new one imports for seconds.
    """
    context = multiprocessing.get_context("forkserver")
    ours, figures = ["grokinterp", "probes"], ["plotly.graph_objects", "plotly.io", "rich.table"]
    libraries = ["distributed", "h5netcdf", "scipy.stats", "typer", "xarray", "zarr"]
    context.set_forkserver_preload([*ours, *figures, *libraries])
    multiprocessing.forkserver.ensure_running()  # before somebody else chooses what it imports
    return context


@pytest.fixture
def shell(
    forkserver: ForkServerContext, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., ForkServerProcess]]:
    """``shell(folder, module, *arguments)`` starts ``python -m module arguments`` in a folder.

    What it prints is in the folder's files ``stdout`` and ``stderr``.
    """
    monkeypatch.syspath_prepend(Path(__file__).parent / "children")
    import shell_command  # pyright: ignore[reportMissingImports]

    started: list[ForkServerProcess] = []

    def start(folder: Path, module: str, *arguments: object) -> ForkServerProcess:
        words = [str(argument) for argument in arguments]
        process = forkserver.Process(target=shell_command.run, args=(module, words, str(folder)))
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()  # nothing, if it has ended
