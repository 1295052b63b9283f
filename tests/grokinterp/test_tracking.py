"""What W&B and TensorBoard have on disk after training told them about it."""

import json
import math
import pickle
import struct
import sys
from collections.abc import Iterator, Mapping
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

import grokinterp as gi
from grokinterp.tracking import Callback, TensorBoardCallback, WandbCallback
from grokinterp.tracking.base import RunTracker, flatten, run_names

NAN = math.nan
BASE = gi.RunConfig(data=gi.DataConfig(p=5), model=gi.MLPConfig(d_mlp=4))
CONFIGS = [BASE.replace({"training.weight_decay": w}) for w in (0.0, 5.0, 15.0)]
LABELS = [f"{run} training.weight_decay={w}" for run, w in enumerate((0.0, 5.0, 15.0))]


def loss(run: int, step: int) -> float:
    return run + 2.0**-step


def train_interleaved(callback: Callback, *, finish: range = range(3)) -> None:
    """A stack of three runs, each with its own numbers and one accuracy that is always NaN."""
    callback.on_start(CONFIGS)
    for step in (0, 10, 20):
        for run in range(3):
            callback.on_evaluation(
                run, step, {"train_loss": loss(run, step), "changed_accuracy": NAN}
            )
    for run in finish:
        summary = {"train_loss": NAN, "test_accuracy": run / 4, "worst": math.inf}
        callback.on_finish(run, CONFIGS[run], summary)
    callback.on_end()


# What all trackers share


class Listing(RunTracker):
    """Notes what it is told to do; refuses to close the runs in ``broken``."""

    def __init__(self, live: int, broken: frozenset[int] = frozenset()) -> None:
        super().__init__(live)
        self.broken = broken
        self.steps: dict[int, list[int]] = {}
        self.now_open, self.most_open = 0, 0
        self.finished: dict[int, bool] = {}

    def open(self, run: int) -> int:
        self.now_open += 1
        self.most_open = max(self.now_open, self.most_open)
        self.steps[run] = []
        return run

    def write(self, log: int, step: int, row: Mapping[str, float]) -> None:
        assert row == {"train_loss": loss(log, step)}
        self.steps[log].append(step)

    def close(self, log: int, summary: Mapping[str, float] | None) -> None:
        if log in self.broken:
            raise OSError(f"run {log}")
        self.now_open -= 1
        self.finished[log] = summary is not None


@pytest.mark.parametrize("live", [1, 2, 3])
def test_every_row_arrives_once_and_in_order_with_few_logs_open(live: int) -> None:
    tracker = Listing(live)
    train_interleaved(tracker)
    assert tracker.steps == {run: [0, 10, 20] for run in range(3)}
    assert tracker.finished == {0: True, 1: True, 2: True}
    # One more while a run beyond `live` is written at its end.
    assert live <= tracker.most_open <= live + 1
    assert tracker.now_open == 0


def test_runs_that_never_finish_are_closed_at_the_end_as_unfinished() -> None:
    tracker = Listing(live=1)
    train_interleaved(tracker, finish=range(1))
    assert tracker.steps == {run: [0, 10, 20] for run in range(3)}
    assert tracker.finished == {0: True, 1: False, 2: False}
    tracker.on_end()  # a second call finds nothing left to do
    train_interleaved(tracker)  # the same callback follows another training
    assert tracker.finished == {0: True, 1: True, 2: True}


def test_one_log_that_fails_to_close_does_not_cost_the_others() -> None:
    tracker = Listing(live=3, broken=frozenset({1}))
    with pytest.raises(OSError, match="run 1"):
        train_interleaved(tracker, finish=range(0))
    assert tracker.finished == {0: False, 2: False}


def test_a_run_without_rows_still_gets_its_summary_and_the_end_may_come_before_the_start() -> None:
    tracker = Listing(live=1)
    tracker.on_end()
    tracker.on_start(CONFIGS)
    tracker.on_finish(2, CONFIGS[2], {"test_accuracy": 1.0})
    assert tracker.finished == {2: True}


def test_the_base_callback_does_nothing() -> None:
    train_interleaved(Callback())


def test_a_config_is_flattened_to_dotted_paths() -> None:
    table = gi.Table("mine", 2, (0, 1, 1, 0))
    flat = flatten(gi.RunConfig(data=gi.DataConfig(p=2, operation=table), seed=7))
    assert flat["data.operation"] == "mine"  # not its p * p labels
    assert (flat["data.train_fraction"], flat["training.lr"], flat["seed"]) == (0.5, 1e-2, 7)
    assert (flat["model.kind"], flat["data.second_operation"]) == ("mlp", None)
    assert not any(isinstance(value, Mapping) for value in flat.values())


def test_a_run_is_named_by_its_number_and_by_what_differs() -> None:
    assert run_names([flatten(config) for config in CONFIGS]) == LABELS
    assert run_names([flatten(BASE)]) == ["0"]
    assert run_names([flatten(BASE)] * 11)[1] == "01"
    assert run_names([]) == []
    assert run_names([{"a": 1}, {"b": 2}]) == ["0 a=1", "1 b=2"]


@pytest.mark.parametrize(
    ("kind", "package", "extra"),
    [(WandbCallback, "wandb", "wandb"), (TensorBoardCallback, "tensorboard", "tensorboard")],
)
def test_a_missing_package_is_named_with_its_extra(
    kind: type[Callback], package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package}.*pip install 'grokinterp\[{extra}\]'"):
        kind("somewhere")  # type: ignore[call-arg]


@pytest.mark.slow
def test_importing_the_callbacks_imports_no_tracker(
    forkserver: ForkServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "children")
    import modules  # pyright: ignore[reportMissingImports]

    receiver, sender = forkserver.Pipe(duplex=False)
    process = forkserver.Process(target=modules.send, args=(sender,))
    process.start()
    loaded = receiver.recv()
    process.join()
    assert "grokinterp" in loaded
    assert not loaded & {"wandb", "tensorboard"}


# W&B


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for W&B's runs, with nothing written or read elsewhere."""
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT", "WANDB_RUN_GROUP", "WANDB_TAGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    wandb.teardown()  # settings are read from the environment once per service
    yield tmp_path / "runs"
    wandb.teardown()


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of a ``.wandb`` file: a LevelDB log (32 KiB blocks) with W&B's 7-byte header."""
    messages = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    data, at, part = file.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        part += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            record = messages.Record()
            record.ParseFromString(part)
            yield record
            part = b""


def key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


def wandb_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """Run name -> what its file holds."""
    pytest.importorskip("wandb").teardown()  # the service writes files a moment after a run's end
    runs = {}
    for file in folder.glob("wandb/offline-run-*/run-*.wandb"):
        run: dict[str, Any] = {"config": {}, "history": {}, "summary": {}}
        for record in wandb_records(file):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                run["config"] |= {
                    key(u): json.loads(u.value_json) for u in record.run.config.update
                }
                run |= {
                    "name": record.run.display_name,
                    "project": record.run.project,
                    "group": record.run.run_group,
                    "tags": list(record.run.tags),
                    "notes": record.run.notes,
                }
            elif kind == "history":
                row = {key(i): json.loads(i.value_json) for i in record.history.item}
                step = row["_step"]
                run["history"][step] = {k: v for k, v in row.items() if not k.startswith("_")}
            elif kind == "summary":
                run["summary"] |= {key(u): json.loads(u.value_json) for u in record.summary.update}
            elif kind == "exit":
                run["exit_code"] = record.exit.exit_code
        runs[run["name"]] = run
    return runs


@pytest.mark.slow
def test_wandb_keeps_one_run_per_run(offline: Path) -> None:
    callback = WandbCallback(
        "grok", mode="offline", dir=offline, group="g", tags=["t"], live=1, notes="by hand"
    )
    train_interleaved(callback)
    runs = wandb_runs(offline)
    assert sorted(runs) == LABELS
    for i, run in enumerate(runs[label] for label in LABELS):
        assert (run["project"], run["group"], run["tags"]) == ("grok", "g", ["t"])
        assert (run["notes"], run["exit_code"]) == ("by hand", 0)
        assert run["config"]["training.weight_decay"] == CONFIGS[i].training.weight_decay
        assert run["config"]["data.p"] == 5
        # A gap where a number is NaN, and no chart where all are.
        assert run["history"] == {step: {"train_loss": loss(i, step)} for step in (0, 10, 20)}
        assert run["summary"]["test_accuracy"] == i / 4
        # Not the last loss that was logged: that is not what the summary said.
        assert run["summary"]["train_loss"] is None
        assert run["summary"]["worst"] is None


def test_wandb_marks_unfinished_runs_and_leaves_the_users_own_run_alone(offline: Path) -> None:
    wandb = pytest.importorskip("wandb")
    offline.mkdir()
    with wandb.init(project="own", mode="offline", dir=offline, name="own") as own:
        train_interleaved(WandbCallback("grok", mode="offline", dir=offline), finish=range(1))
        assert wandb.run is own
        own.log({"x": 1.0})
    runs = wandb_runs(offline)
    assert sorted(runs) == [*LABELS, "own"]
    assert runs["own"]["history"] == {0: {"x": 1.0}}
    assert [runs[label]["exit_code"] for label in LABELS] == [0, 1, 1]
    assert [runs[label]["tags"] for label in LABELS] == [[], ["unfinished"], ["unfinished"]]
    assert runs[LABELS[2]]["history"] == {s: {"train_loss": loss(2, s)} for s in (0, 10, 20)}


def test_wandb_arguments_are_checked_before_training() -> None:
    pytest.importorskip("wandb")
    with pytest.raises(ValueError, match=r"name='x' is not allowed.*group"):
        WandbCallback("grok", name="x")
    with pytest.raises(TypeError, match=r"tags must be a list of strings, got 'x'; pass \['x'\]"):
        WandbCallback("grok", tags="x")
    with pytest.raises(ValueError, match="live must be at least 1, got 0"):
        WandbCallback("grok", live=0)


# TensorBoard


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> its steps and values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def hparams_table(folder: Path) -> dict[str, tuple[str, dict[str, Any], dict[str, float]]]:
    """What TensorBoard's own HPARAMS tab shows: run -> status, settings, metrics."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import list_session_groups
    from tensorboard.plugins.hparams.backend_context import Context

    messages = pytest.importorskip("tensorboard.plugins.hparams.api_pb2")
    events = EventMultiplexer().AddRunsFromDirectory(str(folder))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(folder))
    backend, web = Context(TBContext(data_provider=provider)), RequestContext()
    found = backend.hparams_metadata(web, "")
    listed = backend.hparams_from_data_provider(web, "", 0)
    experiment = backend.experiment_from_metadata(web, "", True, found, listed)
    request = messages.ListSessionGroupsRequest(
        slice_size=100, include_metrics=True, allowed_statuses=messages.Status.values()
    )
    for hparam in experiment.hparam_infos:
        request.col_params.add(hparam=hparam.name)
    for metric in experiment.metric_infos:
        request.col_params.add(metric=metric.name)
    reply = list_session_groups.Handler(web, backend, "", request).run()
    return {
        group.name: (
            messages.Status.Name(group.sessions[0].status),
            {k: getattr(v, str(v.WhichOneof("kind"))) for k, v in group.hparams.items()},
            {m.name.tag: m.value for m in group.metric_values},
        )
        for group in reply.session_groups
    }


FOLDERS = [label.replace(" ", "_") for label in LABELS]


@pytest.mark.parametrize("live", [1, 3])
def test_tensorboard_keeps_one_folder_per_run(tmp_path: Path, live: int) -> None:
    pytest.importorskip("tensorboard")
    train_interleaved(TensorBoardCallback(tmp_path / "tb", live=live))
    assert sorted(path.name for path in (tmp_path / "tb").iterdir()) == FOLDERS
    for i, name in enumerate(FOLDERS):
        assert scalars(tmp_path / "tb" / name) == {
            "train_loss": [(s, pytest.approx(loss(i, s), rel=1e-7)) for s in (0, 10, 20)],
            "summary/test_accuracy": [(20, i / 4)],
        }


def test_the_hparams_tab_shows_settings_final_numbers_and_who_finished(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    callback = TensorBoardCallback(tmp_path)
    # A setting that is None in one run and a word in another, and a polynomial as a folder's name.
    other = {"data.corruption_kind": "second_rule", "data.second_operation": "a**2 + a*b"}
    callback.on_start([BASE, BASE.replace(other)])
    callback.on_evaluation(0, 10, {"train_loss": 0.5})
    callback.on_evaluation(1, 10, {"changed_accuracy": 0.25})
    callback.on_finish(0, BASE, {"test_accuracy": 1.0})
    callback.on_end()
    done, cut = hparams_table(tmp_path).values()
    assert (done[0], cut[0]) == ("STATUS_SUCCESS", "STATUS_UNKNOWN")
    assert done[1].keys() == cut[1].keys() == flatten(BASE).keys()
    assert (done[1]["data.second_operation"], cut[1]["data.second_operation"]) == (
        "None",
        "a**2 + a*b",
    )
    assert (done[1]["data.p"], done[1]["training.betas"]) == (5, "(0.9, 0.98)")
    assert done[2] == {"train_loss": 0.5, "summary/test_accuracy": 1.0}
    assert cut[2] == {"changed_accuracy": 0.25}


def test_tensorboard_writes_beside_what_is_there(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    callback = TensorBoardCallback(tmp_path)
    for repeat in range(3):
        callback.on_start([BASE])
        callback.on_evaluation(0, 0, {"train_loss": repeat})
        callback.on_finish(0, BASE, {})
        callback.on_end()
    names = ["0", "0.2", "0.3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert [scalars(tmp_path / name)["train_loss"] for name in names] == [
        [(0, 0.0)],
        [(0, 1.0)],
        [(0, 2.0)],
    ]


def test_callbacks_can_be_sent_to_another_process_before_they_start(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("wandb")
    for callback in (TensorBoardCallback(tmp_path), WandbCallback("grok")):
        assert pickle.loads(pickle.dumps(callback)).live == callback.live
