"""What a session has set in torch neither changes a training nor is changed by one."""

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

import grokinterp as gi
from grokinterp import team
from grokinterp.session import float32_products
from grokinterp.team import Team, use_threads
from grokinterp.training.dropout import dropout_mask
from grokinterp.training.evaluation import Evaluation
from grokinterp.training.noise import noise
from grokinterp.training.optimizer import StackedOptimizer
from grokinterp.training.resources import Resources
from tests.settings import chosen

# Where a process may use one core only.
pytestmark = pytest.mark.filterwarnings("ignore:threads=2 is more:RuntimeWarning")

SMALL = gi.RunConfig(
    data=gi.DataConfig(p=7), model=gi.MLPConfig(d_mlp=8), training=gi.TrainConfig(steps=4)
)
TINY = torch.finfo(torch.float32).tiny  # the smallest normal number; half of it is a denormal


def half_of_tiny() -> float:
    """A denormal number, or zero where the thread flushes them."""
    return (torch.full((1,), TINY) / 2).item()


@pytest.fixture(params=[False, True], ids=["kept", "flushed"])
def flushes(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the session flushes denormals: both ways."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush denormals")
    torch.set_flush_denormal(request.param)
    yield request.param
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("threads", [1, 2])
def test_denormals_are_zero_in_a_training_and_as_before_after_it(
    flushes: bool, threads: int
) -> None:
    run = gi.train(
        SMALL, probes={"half": lambda model: half_of_tiny()}, threads=threads, progress=False
    )
    assert run.history["half"].values.tolist() == [0.0, 0.0]
    assert (half_of_tiny() == 0.0) == flushes


def test_denormals_are_as_before_after_an_error(flushes: bool) -> None:
    def broken(model: Any) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gi.train(SMALL, probes={"broken": broken}, progress=False)
    assert (half_of_tiny() == 0.0) == flushes


@pytest.mark.usefixtures("flushes")
@pytest.mark.parametrize("size", [2, 3])
def test_denormals_are_zero_in_every_worker(size: int) -> None:
    seen: list[float] = []
    with Team(size) as team:
        team.each(lambda worker: seen.append(half_of_tiny()))
    assert seen == [0.0] * size


@pytest.mark.usefixtures("flushes")
def test_threads_that_torch_starts_while_it_trains_do_not_keep_flushing() -> None:
    """They live on for the thread that needed them first, and begin with its settings."""
    large = torch.full((1 << 20,), TINY)

    def train_first() -> list[bool]:
        torch.set_flush_denormal(False)
        use_threads(2)
        gi.train(SMALL, probes={"any": lambda model: (large / 2).any()}, progress=False)
        return [bool(half.all()) for half in (large / 2).chunk(2)]

    with ThreadPoolExecutor(1) as new_thread:
        assert new_thread.submit(train_first).result() == [True, True]


def test_a_cpu_that_cannot_flush_denormals_trains_with_one_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "set_flush_denormal", lambda mode: False)
    team._warn_of_kept_denormals.cache_clear()
    two_stacks = [SMALL, SMALL.replace({"training.steps": 3})]
    with pytest.warns(RuntimeWarning, match="cannot flush denormal numbers") as caught:
        gi.train_many(two_stacks, device="cpu", threads=1, progress=False)
    assert len(caught) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_torchs_number_of_threads_is_as_before_here_and_in_new_threads(threads: int) -> None:
    def in_new_thread() -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    probes = {"own": lambda model: torch.get_num_threads(), "new": lambda model: in_new_thread()}
    with chosen(torch.set_num_threads, 3, torch.get_num_threads()):
        run = gi.train(SMALL, probes=probes, threads=threads, progress=False)
        assert (torch.get_num_threads(), in_new_thread()) == (3, 3)
    assert run.history["own"].values.tolist() == [1, 1]
    assert run.history["new"].values.tolist() == [3, 3]


@pytest.mark.parametrize("threads", [1, 2])
def test_weights_that_decay_away_end_at_zero(threads: int) -> None:
    """Kept denormals would stop above it: .6 times 1.4e-45, the smallest, rounds to 1.4e-45."""
    decay = {"training.decay": "decoupled_zero", "training.weight_decay": 40.0}
    sgd = {"training.optimizer": "sgd", "training.lr": 1e-2, "training.steps": 250}
    config = SMALL.replace(sgd | decay)
    run = gi.train(config, threads=threads, progress=False)
    for weight in run.model.parameters():
        assert not weight.any()


SETTINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu"),
    "default device": lambda: torch.device("meta"),
    "default dtype": lambda: chosen(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "inference mode": torch.inference_mode,
    "deterministic": lambda: chosen(torch.set_deterministic_debug_mode, "error", "default"),
    "products": lambda: chosen(torch.set_float32_matmul_precision, "medium", "highest"),
}
NETWORKS = {
    "mlp": SMALL.model,
    "batch norm": gi.MLPConfig(d_mlp=8, norm="batch"),
    "embedding mlp": gi.EmbeddingMLPConfig(d_embed=6, hidden=(8,), prompt="a b ="),
    "transformer": gi.TransformerConfig(
        d_model=8, n_heads=2, positional_embedding_type="sinusoidal", normalization_type="LN"
    ),
    "lstm": gi.LSTMConfig(d_embed=6, d_hidden=7),
}


@pytest.mark.usefixtures("flushes")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_part_of_a_step_flushes_denormals(
    network: str, batch_size: int | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[float]] = {}

    def watch(owner: type, name: str) -> None:
        function = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            seen.setdefault(name, set()).add(half_of_tiny())
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, watched)

    each = Team.each

    def watched_each(team: Team, work: Callable[[int], object]) -> None:
        def watched(worker: int) -> None:
            seen.setdefault("work", set()).add(half_of_tiny())
            work(worker)

        each(team, watched)

    monkeypatch.setattr(Team, "each", watched_each)
    watch(Evaluation, "note")
    watch(StackedOptimizer, "update")
    config = SMALL.replace({"model": NETWORKS[network], "training.batch_size": batch_size})
    gi.train(config, threads=threads, progress=False)
    assert seen == {name: {0.0} for name in ("work", "note", "update")}


def product(model: Any) -> torch.Tensor:
    """Something that a probe may compute: it depends on autocast, device and dtype."""
    return model.W_U.T @ model.W_U


def trained(network: str, threads: int) -> gi.Run:
    config = SMALL.replace(
        {"model": NETWORKS[network], "training.loss": "mse_softmax", "training.update_noise": 0.01}
    )
    return gi.train(config, probes={"product": product}, threads=threads, progress=False)


trained_by_default = functools.cache(trained)  # every setting is compared with it


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_training_does_not_follow_the_session(network: str, setting: str, threads: int) -> None:
    want = trained_by_default(network, threads)
    with SETTINGS[setting]():
        got = trained(network, threads)
    assert got.history.identical(want.history)
    state = want.model.state_dict()
    for name, weight in got.model.state_dict().items():
        assert torch.equal(weight, state[name]), name
    assert not got.dataset.labels.is_inference()
    assert all(weight.requires_grad for weight in got.model.parameters())


@pytest.mark.parametrize("setting", [name for name in SETTINGS if name != "products"])
def test_nothing_that_is_made_follows_the_session(setting: str, tmp_path: Path) -> None:
    kinds = ("symmetric", "derangement", "pair_flip", "second_rule")
    tasks = [
        gi.DataConfig(
            p=5,
            corruption=0.5,
            corruption_kind=kind,
            operation=operation,
            second_operation="a*b" if kind == "second_rule" else None,
        )
        for kind in kinds
        for operation in ("addition", "a**2 - 3*b", lambda a, b: a)
    ] + [gi.DataConfig(p=5, corruption=0.5, protocol="published")]
    config = SMALL.replace({"training.dropout": 0.5, "training.weight_noise": 0.1})
    path = gi.train(config, progress=False).save(tmp_path / "run")
    pairs = gi.make_dataset(SMALL.data).tokens

    def made() -> list[torch.Tensor]:
        data = [gi.make_dataset(task) for task in tasks]
        tensors = [x for one in data for x in (one.tokens, one.labels, *one.masks.values())]
        for network in NETWORKS.values():
            model = gi.build_model(SMALL.replace({"model": network}))
            direct = type(model)(network, p=7)
            with torch.autocast("cpu", enabled=False):
                tensors += [*model.parameters(), *model.buffers(), direct.eval()(pairs)]
        loaded = gi.Run.load(path)
        tensors += [loaded.dataset.labels, *loaded.model.parameters()]
        tensors += [*gi.closed_form_mlp(5, 6).parameters()]
        tensors += [dropout_mask(config, step=0, hook="layers.0.hook_pre")]
        tensors += [noise(config, "weight_noise", 9, step=0)]
        return tensors

    want = made()
    with SETTINGS[setting]():
        got = made()
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other)  # the logits' last digit depends on gradient modes


def precision() -> str:
    return torch.get_float32_matmul_precision()


@pytest.fixture
def medium() -> Iterator[None]:
    """A session that has chosen a precision of its own."""
    with chosen(torch.set_float32_matmul_precision, "medium", "highest"):
        yield


@pytest.mark.usefixtures("medium")
def test_the_precision_of_products_outlasts_the_first_of_two_trainings() -> None:
    """They overlap: the other one begins within the first and ends after it."""
    second_began, first_ended = threading.Event(), threading.Event()
    seen: list[str] = []

    def in_first(model: Any) -> float:
        assert second_began.wait(60)
        return 0.0

    def in_second(model: Any) -> float:
        second_began.set()
        assert first_ended.wait(60)
        seen.append(precision())
        return 0.0

    def first() -> None:
        gi.train(SMALL, probes={"wait": in_first}, progress=False)
        first_ended.set()

    def second() -> None:
        gi.train(SMALL, probes={"wait": in_second}, progress=False)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(first), pool.submit(second)]:
            done.result()
    assert seen == ["highest", "highest"]
    assert precision() == "medium"


@pytest.mark.usefixtures("medium")
def test_trainings_that_want_another_precision_wait_for_their_turn() -> None:
    seen: list[str] = []

    def other() -> None:
        with float32_products("high"):
            seen.append(precision())

    waiting = threading.Thread(target=other)
    with float32_products("highest"):
        waiting.start()
        waiting.join(0.2)
        with float32_products("highest"):
            seen.append(precision())
    waiting.join()
    assert seen == ["highest", "high"]
    assert precision() == "medium"


@pytest.mark.usefixtures("medium")
def test_two_precisions_inside_each_other_are_refused() -> None:
    with float32_products("highest"):
        with pytest.raises(RuntimeError, match="use the same precision, or train after"):
            float32_products("high").__enter__()
        assert precision() == "highest"
    assert precision() == "medium"


@pytest.mark.parametrize("backend", ["cuda", "mkldnn"])
@pytest.mark.parametrize("value", ["tf32", "none"])
def test_a_precision_set_by_backend_is_given_back(backend: str, value: str) -> None:
    """Torch, from 2.9 on, then refuses to say what the precision of all backends is."""
    matmul: Any = getattr(getattr(torch.backends, backend), "matmul", None)
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("this torch has no precision by backend")
    with chosen(torch.set_float32_matmul_precision, "highest", "highest"):
        matmul.fp32_precision = value
        run = gi.train(SMALL, probes={"high": lambda _: precision() == "highest"}, progress=False)
        assert run.history.high.values.all()
        assert matmul.fp32_precision == value


def test_tf32_is_on_while_a_run_trains_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU too, where it is refused because it would change nothing."""
    monkeypatch.setattr(Resources, "__post_init__", lambda _: None)
    run = gi.train(
        SMALL, precision="tf32", probes={"high": lambda _: precision() == "high"}, progress=False
    )
    assert run.history.high.values.tolist() == [1.0, 1.0]
    assert precision() == "highest"
