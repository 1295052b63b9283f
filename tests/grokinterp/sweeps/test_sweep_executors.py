"""Sweeps on threads, processes and a Dask cluster, and what happens when workers die."""

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path

import psutil
import pytest
import torch

import grokinterp as gi
from grokinterp.tracking import Callback

QUIET = {"device": "cpu", "progress": False}
AXES = {"training.lr": [1e-3, 1e-2, 1e-1]}
MEASURE = {"its_seed": attrgetter("config.seed"), "steps": attrgetter("config.training.steps")}


@pytest.fixture(autouse=True)
def no_orphans() -> Iterator[None]:
    """Processes that a test started are gone when it ends; Python's own servers may stay."""
    yield
    deadline = time.monotonic() + 20
    us = psutil.Process()
    servers = [
        child
        for child in us.children()
        if re.search("multiprocessing.(resource_tracker|forkserver) ", " ".join(child.cmdline()))
    ]
    while orphans := [
        child
        for child in us.children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and child not in servers
    ]:
        assert time.monotonic() < deadline, orphans
        time.sleep(0.1)


def test_threads(base: gi.RunConfig, tmp_path: Path, same) -> None:
    before = torch.get_num_threads()
    threads = {"threads": lambda run: torch.get_num_threads()}
    with ThreadPoolExecutor(2) as pool:
        result = gi.sweep(base, AXES, 4, MEASURE | threads, tmp_path / "s", pool, chunk=2, **QUIET)
        assert pool.submit(torch.get_num_threads).result() == before  # as it was lent to us
    assert (result.threads == 1).all()
    assert torch.get_num_threads() == before
    same(result.drop_vars("threads"), gi.sweep(base, AXES, 4, MEASURE, **QUIET))
    assert (gi.sweep(base, {}, measure=threads, **QUIET).threads == before).all()


def test_an_executor_that_works_in_this_thread(base: gi.RunConfig) -> None:
    class Here(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            future: Future = Future()
            future.set_result(fn(*args, **kwargs))
            return future

    before = torch.get_num_threads()
    with Here(2) as pool:
        gi.sweep(base, AXES, executor=pool, **QUIET)
    assert torch.get_num_threads() == before


def test_a_failing_block_loses_no_other(base: gi.RunConfig, tmp_path: Path, trained) -> None:
    """Blocks that run when one fails are stored; those that have not begun never begin."""
    both_run = threading.Barrier(2)

    def measure(run: gi.Run) -> float:
        if run.config.seed < 2:
            both_run.wait(30)
        if run.config.seed == 1:
            raise RuntimeError("no such thing")
        time.sleep(0.3)
        return run.config.seed

    with ThreadPoolExecutor(2) as pool, pytest.raises(gi.MeasureError, match="seed=1"):
        gi.sweep(base, {}, 40, {"m": measure}, tmp_path / "s", pool, chunk=1, **QUIET)
    done = gi.open_sweep(tmp_path / "s").done.values
    assert done[0]
    assert not done[1]
    assert done.sum() == len(trained) - 1 < 10


def test_a_pool_that_was_shut_down(base: gi.RunConfig) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(gi.SweepExecutorError, match="after shutdown; make a new executor"):
        gi.sweep(base, {}, executor=pool, **QUIET)


def test_a_pool_that_drops_its_tasks(base: gi.RunConfig, tmp_path: Path) -> None:
    """As a Dask client does whose scheduler is gone; a sweep with holes must not look whole."""
    pool = ThreadPoolExecutor(1)

    def measure(run: gi.Run) -> float:
        pool.shutdown(wait=False, cancel_futures=True)
        return 1.0

    with pytest.raises(gi.SweepExecutorError, match="cancelled its tasks"):
        gi.sweep(base, {}, 6, {"m": measure}, tmp_path / "s", pool, chunk=1, **QUIET)
    pool.shutdown()
    assert gi.open_sweep(tmp_path / "s").done.sum() == 1


@pytest.mark.slow
def test_processes(base: gi.RunConfig, tmp_path: Path, same, measures, forkserver) -> None:
    """Results, threads, and one warning for diverged runs in words."""
    take = {"threads": measures.threads, "pid": measures.pid}
    axes = {"training.lr": [1e-2, 1e25]}
    with ProcessPoolExecutor(2, forkserver, measures.note_errors) as pool:
        with pytest.warns(gi.DivergenceWarning, match=r"8 of 16 runs.*lr=1e\+25, seed=0") as caught:
            result = gi.sweep(
                base, axes, 8, MEASURE | take, tmp_path / "s", pool, chunk=2, **QUIET
            ).load()
        assert len(caught) == 1
    assert "Divergence" not in (tmp_path / "stderr").read_text()  # nor do workers talk of it
    assert os.getpid() not in result.pid
    assert (result.threads == 1).all()
    with pytest.warns(gi.DivergenceWarning):
        same(result.drop_vars(["threads", "pid"]), gi.sweep(base, axes, 8, MEASURE, **QUIET))


def test_forked_processes(base: gi.RunConfig, tmp_path: Path, same) -> None:
    """The default of many Pythons: copies of a process whose OpenMP threads have worked."""
    torch.mm(*torch.ones(2, 500, 500))
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        result = gi.sweep(base, AXES, 2, MEASURE, tmp_path / "s", pool, chunk=2, **QUIET)
    same(result, gi.sweep(base, AXES, 2, MEASURE, **QUIET))


@pytest.mark.parametrize("method", ["fork", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_a_killed_worker_is_replaced(
    base: gi.RunConfig, tmp_path: Path, same, measures, forkserver, method: str
) -> None:
    """Its block is trained by another, with the pool's initializer, and nothing shows."""
    flag = tmp_path / "kill"
    flag.touch()
    context = multiprocessing.get_context(method)
    take = {"m": measures.kill_once}
    with ProcessPoolExecutor(2, context, measures.note_errors) as pool:
        for _ in range(2):  # the second time with a pool that is broken from the start
            result = gi.sweep(base, {}, 5, take, executor=pool, chunk=1, **QUIET)
            assert not flag.exists()
            same(result, gi.sweep(base, {}, 5, take, **QUIET))


@pytest.mark.slow
def test_a_block_that_kills_its_workers_is_named(
    base: gi.RunConfig, tmp_path: Path, measures, forkserver
) -> None:
    arguments = {"store": tmp_path / "s", "chunk": 1, **QUIET}
    expected = "the block with seed=2 died three times, the last time with no other"
    with (
        ProcessPoolExecutor(2, forkserver) as pool,
        pytest.raises(gi.SweepExecutorError, match=expected),
    ):
        gi.sweep(base, {}, 4, {"m": measures.kill_always}, executor=pool, **arguments)
    done = gi.open_sweep(tmp_path / "s").done.values
    assert not done[2]
    assert done[0]


@pytest.mark.parametrize(
    "method", ["fork", *(pytest.param(m, marks=pytest.mark.slow) for m in ("forkserver", "spawn"))]
)
def test_workers_end_after_their_driver_was_killed(
    base: gi.RunConfig, tmp_path: Path, measures, forkserver, method: str
) -> None:
    """Those that train, and one that has nothing to do."""
    driver = forkserver.Process(target=measures.drive, args=(base, method))
    driver.start()
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("working *"))) < 2:
        assert time.monotonic() < deadline
        assert driver.is_alive()
        time.sleep(0.05)
    family = psutil.Process(driver.pid).children(recursive=True)
    assert len(family) >= 2
    driver.kill()
    driver.join()
    _, alive = psutil.wait_procs(family, timeout=30)
    for process in alive:
        process.kill()
    assert not alive


@pytest.fixture
def dask(tmp_path: Path, forkserver):
    """Starts clusters on loopback and closes them."""
    distributed = pytest.importorskip("distributed")
    from dask import config

    clusters = []

    def start(workers: int):
        cluster = distributed.LocalCluster(
            n_workers=workers,
            processes=True,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            local_directory=str(tmp_path / "dask"),
            silence_logs=50,
        )
        client = distributed.Client(cluster)
        clusters[:0] = [client, cluster]
        return client

    with config.set({"distributed.worker.multiprocessing-method": forkserver.get_start_method()}):
        yield start
    for cluster in clusters:
        cluster.close()


def test_a_cluster_without_workers(
    base: gi.RunConfig, tmp_path: Path, dask, trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, waited = dask(0), []
    wait = client.wait_for_workers

    def noted(n_workers: int, timeout: float) -> object:
        waited.append((n_workers, timeout))
        return wait(n_workers, timeout)

    monkeypatch.setattr(client, "wait_for_workers", noted)
    with pytest.raises(gi.SweepExecutorError, match=r"no worker for 1 s; start workers"):
        gi.sweep(
            base,
            AXES,
            store=tmp_path / "s",
            executor=client.get_executor(),
            worker_timeout=1.0,
            **QUIET,
        )
    assert waited == [(1, 1.0)]
    assert not trained
    with pytest.raises(TypeError, match=r"client.get_executor\(\)"):
        gi.sweep(base, AXES, executor=client, **QUIET)


def test_a_measure_that_dask_cannot_send_and_a_closed_client(
    base: gi.RunConfig, tmp_path: Path, dask, trained
) -> None:
    client, lock = dask(0), threading.Lock()
    arguments = {"store": tmp_path / "s", "executor": client.get_executor(), **QUIET}
    with pytest.raises(TypeError, match=r"measure cannot be sent .*lock.*; it must not hold locks"):
        gi.sweep(base, AXES, measure={"m": lambda run: lock.locked()}, **arguments)
    client.close()
    with pytest.raises(gi.SweepExecutorError, match="the Dask client is closed; make a new one"):
        gi.sweep(base, AXES, **arguments)
    assert not trained
    assert not (tmp_path / "s").exists()


def test_a_dask_worker_that_leaves_while_its_result_arrives(
    base: gi.RunConfig, dask, same, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler then says that the result is lost, though the driver has it."""
    client, lost = dask(1), []
    gather = client._gather

    async def gathered(futures, *args, **kwargs):
        results = await gather(futures, *args, **kwargs)
        for future in futures if isinstance(futures, list) else [futures]:
            lost.append(future.key)
            future._state.lose()
        return results

    monkeypatch.setattr(client, "_gather", gathered)
    result = gi.sweep(base, AXES, 4, MEASURE, executor=client.get_executor(), **QUIET)
    assert lost
    same(result, gi.sweep(base, AXES, 4, MEASURE, **QUIET))


@pytest.mark.slow
def test_a_dask_cluster_that_loses_a_worker(base: gi.RunConfig, tmp_path: Path, dask, same) -> None:
    """Two worker processes; one is killed in the middle, both do work, and nothing shows."""
    client = dask(2)
    store, killed = tmp_path / "s", []

    def slow(run: gi.Run) -> float:
        import time

        time.sleep(0.05)
        return run.config.seed

    class Kill(Callback):
        def on_finish(self, run, config, summary) -> None:
            if not killed:
                pids = client.run(os.getpid)
                killed.extend(pids.values())
                os.kill(killed[0], signal.SIGKILL)

    measure = {
        "slow": slow,
        "threads": lambda run: torch.get_num_threads(),
        "pid": lambda run: os.getpid(),
    }
    result = gi.sweep(
        base,
        AXES,
        4,
        measure,
        store,
        client.get_executor(),
        chunk=1,
        callbacks=[Kill()],
        **QUIET,
    ).load()
    assert len(killed) == 2
    assert killed[1] in result.pid
    assert os.getpid() not in result.pid
    assert (result.threads == 1).all()
    alone = gi.sweep(base, AXES, 4, {"slow": slow}, **QUIET)
    same(result.drop_vars(["threads", "pid"]), alone)

    def fails(run: gi.Run) -> float:
        raise RuntimeError("no such thing")

    with pytest.raises(gi.MeasureError, match=r"no such thing; in the run with .*seed="):
        gi.sweep(base, AXES, 2, {"m": fails}, executor=client.get_executor(), **QUIET)

    # All workers leave for good while it waits for them.
    class Leave(Callback):
        def on_finish(self, run, config, summary) -> None:
            client.cluster.scale(0)

    with pytest.raises(gi.SweepExecutorError, match="has had no worker for 1 s"):
        gi.sweep(
            base,
            AXES,
            4,
            {"slow": slow},
            tmp_path / "left",
            client.get_executor(),
            chunk=1,
            callbacks=[Leave()],
            worker_timeout=1.0,
            **QUIET,
        )
    assert 0 < gi.open_sweep(tmp_path / "left").done.sum() < 12
    same(gi.sweep(base, AXES, 4, {"slow": slow}, tmp_path / "left", **QUIET), alone)
