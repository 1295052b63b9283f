"""A run's folder: what comes back, what is refused, and what survives a failure."""

import dataclasses
import io
import json
import os
import pickle
import pickletools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import grokinterp as gi
from grokinterp import runs

FILES = ("dataset.safetensors", "history.nc", "model.safetensors", "run.json")
MASKS = ("is_train", "is_selected", "is_changed")


@pytest.fixture(scope="session")
def odd_run() -> gi.Run:
    """Another architecture, dtype and task; without corruption one accuracy is NaN throughout."""
    config = gi.RunConfig(
        data=gi.DataConfig(p=5, operation=gi.Table("zéro", 5, (0, 1, 2, 3, 4) * 5)),
        model=gi.MLPConfig(d_mlp=6, n_layers=2, act="gelu", init="lazy"),
        training=gi.TrainConfig(steps=7, eval_every=3, loss="cross_entropy", lr=1e-3),
    )
    probes = {"first_row": lambda model: model.W_E[0, 0].detach()}
    run = gi.train(config, device="cpu", precision="float64", probes=probes, progress=False)
    assert bool(run.history["changed_accuracy"].isnull().all())
    return dataclasses.replace(run, diverged_at=5, provenance=run.provenance | {"note": [1, None]})


@pytest.fixture(params=["tiny_run", "odd_run"])
def run(request: pytest.FixtureRequest) -> gi.Run:
    return request.getfixturevalue(request.param)


@pytest.fixture
def folder(tiny_run: gi.Run, tmp_path: Path) -> Path:
    """A saved run, to be damaged."""
    return tiny_run.save(tmp_path / "run")


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def rewrite(folder: Path, changes: dict[str, Any]) -> None:
    (folder / "run.json").write_text(json.dumps(read(folder) | changes))


def test_everything_comes_back(run: gi.Run, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    assert run.save(path) == path
    again = gi.Run.load(path)
    assert again.config == run.config
    assert again.diverged_at == run.diverged_at
    assert again.provenance == run.provenance

    before, after = run.model.state_dict(), again.model.state_dict()
    assert list(before) == list(after)
    for name, weight in before.items():
        assert after[name].dtype == weight.dtype
        assert torch.equal(after[name], weight)
    tokens = run.dataset.tokens
    assert torch.equal(again.model(tokens), run.model(tokens))

    for field in dataclasses.fields(gi.Dataset):
        kept, loaded = getattr(run.dataset, field.name), getattr(again.dataset, field.name)
        assert loaded.dtype == kept.dtype
        assert torch.equal(loaded, kept)
    assert torch.equal(again.dataset.masks["unchanged"], run.dataset.masks["unchanged"])

    xr.testing.assert_identical(again.history, run.history)
    for name in run.history.variables:
        assert again.history[name].dtype.kind == run.history[name].dtype.kind


def test_history_stands_on_its_own(folder: Path, tiny_run: gi.Run) -> None:
    """Loaded into memory: the folder may go, and the file is not held open."""
    history = gi.Run.load(folder).history
    shutil.rmtree(folder)
    assert float(history["train_loss"][-1]) == float(tiny_run.history["train_loss"][-1])


def test_loaded_run_can_be_hooked_and_saved_again(folder: Path, tmp_path: Path) -> None:
    again = gi.Run.load(folder)
    tokens = again.dataset.tokens
    _, cache = again.model.run_with_cache(tokens)
    assert cache["layers.0.hook_post"].shape == (len(tokens), again.config.model.d_mlp)
    silent = again.model.run_with_hooks(tokens, fwd_hooks=gi.ablate(range(16)))
    assert not silent.any()
    copy = contents(again.save(tmp_path / "copy"))
    original = contents(folder)
    assert copy["model.safetensors"] == original["model.safetensors"]
    assert copy["dataset.safetensors"] == original["dataset.safetensors"]


def test_path_may_be_a_string(tiny_run: gi.Run, tmp_path: Path) -> None:
    path = str(tmp_path / "run")
    assert tiny_run.save(path) == Path(path)
    assert gi.Run.load(path).config == tiny_run.config


def test_saving_only_reads_the_run(tiny_run: gi.Run, tmp_path: Path) -> None:
    kept = {name: weight.clone() for name, weight in tiny_run.model.state_dict().items()}
    history = tiny_run.history.copy(deep=True)
    tiny_run.save(tmp_path / "run")
    for name, weight in tiny_run.model.state_dict().items():
        assert torch.equal(weight, kept[name])
    xr.testing.assert_identical(tiny_run.history, history)


# What is in the folder: three open formats, and nothing that runs.


def test_files_are_json_safetensors_and_hdf5(folder: Path, tiny_run: gi.Run) -> None:
    """Read without the library: the header of a safetensors file is a length and JSON."""
    files = contents(folder)
    assert sorted(files) == sorted(FILES)
    for name in ("model.safetensors", "dataset.safetensors"):
        length = int.from_bytes(files[name][:8], "little")
        header = json.loads(files[name][8 : 8 + length])
        if name == "model.safetensors":
            begin, end = header["W_U"]["data_offsets"]
            assert header["W_U"]["dtype"] == "F32"
            raw = np.frombuffer(files[name][8 + length :][begin:end], dtype="<f4")
            assert raw.tolist() == tiny_run.model.W_U.detach().flatten().tolist()
    assert files["history.nc"].startswith(b"\x89HDF\r\n\x1a\n")
    about = read(folder)
    assert about["format"] == 2
    assert about["config"]["data"]["corruption"] == 0.3
    assert about["provenance"]["versions"]["torch"] == torch.__version__


def test_nothing_is_pickled(tiny_run: gi.Run, tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a pickle was written or read")

    for module in (pickle, torch):
        monkeypatch.setattr(module, "load", refuse)
    for name in ("loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "save", refuse)
    folder = tiny_run.save(tmp_path / "run")
    gi.Run.load(folder)
    for data in contents(folder).values():
        with pytest.raises(ValueError, match=r"opcode|pickle|exhausted"):
            pickletools.dis(data, out=io.StringIO())


# Refusals when saving.


def test_a_run_is_not_overwritten_unasked(folder: Path, odd_run: gi.Run) -> None:
    before = contents(folder)
    with pytest.raises(gi.RunFolderError, match=r"already holds a run.*overwrite=True") as caught:
        odd_run.save(folder)
    assert str(folder) in str(caught.value)
    assert contents(folder) == before
    assert os.listdir(folder.parent) == ["run"]


def test_overwriting_replaces_the_whole_folder(folder: Path, odd_run: gi.Run) -> None:
    (folder / "report.html").write_text("of the old run")
    odd_run.save(folder, overwrite=True)
    assert gi.Run.load(folder).config == odd_run.config
    assert sorted(os.listdir(folder)) == sorted(FILES)
    assert os.listdir(folder.parent) == ["run"]


def test_overwriting_a_run_deletes_nothing_else(folder: Path, odd_run: gi.Run) -> None:
    odd_run.save(folder / "child")
    before = contents(folder / "child")
    with pytest.raises(gi.RunFolderError, match="also holds child, which replacing"):
        odd_run.save(folder, overwrite=True)
    assert contents(folder / "child") == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_run_is_never_replaced(
    overwrite: bool, tiny_run: gi.Run, tmp_path: Path
) -> None:
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.txt").write_text("years of work")
    for path in (thesis, thesis / "chapter.txt"):
        with pytest.raises(gi.RunFolderError, match="exists and is no run folder; choose another"):
            tiny_run.save(path, overwrite=overwrite)
    assert (thesis / "chapter.txt").read_text() == "years of work"
    assert os.listdir(tmp_path) == ["thesis"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_empty_folder_is_taken(overwrite: bool, tiny_run: gi.Run, tmp_path: Path) -> None:
    empty = tmp_path / "run"
    empty.mkdir()
    tiny_run.save(empty, overwrite=overwrite)
    assert gi.Run.load(empty).config == tiny_run.config


# Failures midway.


class DiskFull(OSError):
    pass


def fail(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, call: int = 1) -> None:
    """Let ``owner.name`` raise on its n-th call, before it does anything."""
    real, count = getattr(owner, name), 0

    def broken(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == call:
            raise DiskFull("no space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, broken)


WRITING = [
    (runs, "save_file", 1),  # the model
    (runs, "save_file", 2),  # the dataset
    (xr.Dataset, "to_netcdf", 1),
    (json, "dumps", 1),
    (Path, "write_text", 1),
]
RENAMING = [(os, "replace", 1), (os, "replace", 2)]  # the old run aside, then the new one in place


@pytest.mark.parametrize(("owner", "name", "call"), [*WRITING, RENAMING[0]])
def test_failure_leaves_no_half_written_run(
    owner: Any,
    name: str,
    call: int,
    tiny_run: gi.Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail(monkeypatch, owner, name, call=call)
    with pytest.raises(DiskFull):
        tiny_run.save(tmp_path / "run")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("owner", "name", "call"), [*WRITING, *RENAMING])
def test_failure_leaves_the_old_run(
    owner: Any,
    name: str,
    call: int,
    folder: Path,
    odd_run: gi.Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(folder)
    with monkeypatch.context() as patch:
        fail(patch, owner, name, call=call)
        with pytest.raises(DiskFull):
            odd_run.save(folder, overwrite=True)
    assert os.listdir(folder.parent) == ["run"]
    assert contents(folder) == before


def test_the_old_run_is_not_lost_when_it_cannot_be_put_back(
    folder: Path, odd_run: gi.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that can no longer be written to: the old run must be left somewhere."""
    before, real = contents(folder), os.replace

    def only_aside(source: Path, target: Path) -> None:
        if Path(source) != folder:
            raise DiskFull("no space left on device")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", only_aside)
        with pytest.raises(DiskFull):
            odd_run.save(folder, overwrite=True)
    (kept,) = folder.parent.rglob("run.json")
    assert contents(kept.parent) == before


def test_a_killed_save_leaves_the_old_run(
    folder: Path, odd_run: gi.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a power cut: no line of code runs any more, not even a clean-up."""
    before = contents(folder)
    with monkeypatch.context() as patch:
        fail(patch, xr.Dataset, "to_netcdf")
        patch.setattr(shutil, "rmtree", lambda *args, **kwargs: None)
        with pytest.raises(DiskFull):
            odd_run.save(folder, overwrite=True)
    assert contents(folder) == before
    leftover = [name for name in os.listdir(folder.parent) if name != "run"]
    assert all(name.startswith(".run.") for name in leftover)  # hidden from a listing of runs
    with pytest.raises(gi.RunFolderError, match=r"run\.json is missing"):
        gi.Run.load(folder.parent / leftover[0])
    odd_run.save(folder, overwrite=True)  # and it is in nobody's way
    assert gi.Run.load(folder).config == odd_run.config


# Refusals when loading.


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(gi.RunFolderError, match=r"not a run folder \(it does not exist\)") as error:
        gi.Run.load(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(error.value)


def test_folder_that_holds_no_run(tmp_path: Path) -> None:
    with pytest.raises(gi.RunFolderError, match=r"run\.json is missing; .* is not a run folder$"):
        gi.Run.load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(gi.RunFolderError, match=r"is not a run folder$"):
        gi.Run.load(tmp_path / "file")


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(gi.RunFolderError, match="is missing") as caught:
        gi.Run.load(folder)
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize("keep", ["nothing", "half", "all but a byte"])
@pytest.mark.parametrize("name", FILES)
def test_truncated_file_is_named(name: str, keep: str, folder: Path) -> None:
    data = (folder / name).read_bytes().rstrip()  # JSON without its last newline is still whole
    size = {"nothing": 0, "half": len(data) // 2, "all but a byte": len(data) - 1}[keep]
    (folder / name).write_bytes(data[:size])
    with pytest.raises(gi.RunFolderError, match="is truncated") as caught:
        gi.Run.load(folder)
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize("name", [name for name in FILES if name != "run.json"])
def test_altered_byte_is_noticed(name: str, folder: Path) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1  # the file still parses
    (folder / name).write_bytes(data)
    with pytest.raises(gi.RunFolderError, match="truncated or was altered: its checksum") as caught:
        gi.Run.load(folder)
    assert str(folder / name) in str(caught.value)


def test_newer_format_asks_for_an_upgrade(folder: Path) -> None:
    """Whatever else a newer format changes: the format is looked at first."""
    (folder / "run.json").write_text(json.dumps({"format": 1000, "settings": []}))
    with pytest.raises(
        gi.RunFolderError, match=r"written in format 1000, this grokinterp reads up to 2; upgrade"
    ):
        gi.Run.load(folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": "one"}', "null", "3"])
def test_json_of_something_else_is_refused(text: str, folder: Path) -> None:
    (folder / "run.json").write_text(text)
    with pytest.raises(gi.RunFolderError, match="names no format; it was not written by grok"):
        gi.Run.load(folder)


def test_json_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(gi.RunFolderError, match="is truncated or no JSON"):
        gi.Run.load(folder)


@pytest.mark.parametrize("part", ["config", "diverged_at", "provenance", "sha256"])
def test_lacking_part_is_named(part: str, folder: Path) -> None:
    about = read(folder)
    del about[part]
    (folder / "run.json").write_text(json.dumps(about))
    with pytest.raises(gi.RunFolderError, match=f"lacks {part}; it was altered"):
        gi.Run.load(folder)


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("data", "p", 1, "p must be at least 2, got 1"),
        ("data", "alpha", 0.5, "'data.alpha' is unknown"),
        ("model", "act", "tanh", "act='tanh' is unknown"),
        ("model", "kind", "rnn", "model.kind='rnn' is unknown"),
        ("model", "d_mlp", 17, "W_E is .* should be"),  # not the stored weights'
        ("training", "lr", "fast", "lr must be a number, got 'fast'"),
    ],
)
def test_altered_config_is_refused(
    section: str, field: str, value: Any, message: str, folder: Path
) -> None:
    config = read(folder)["config"]
    config[section][field] = value
    rewrite(folder, {"config": config})
    with pytest.raises(gi.RunFolderError, match=rf"(?s)cannot be read as a run: .*{message}"):
        gi.Run.load(folder)
