"""Damaged and hostile run folders: refused by name, whatever is wrong with them.

A damaged file is found by its checksum. Whoever alters one on purpose can rewrite the checksums,
as ``sign`` does here: then a run is loaded that is as it says, or it is refused.
"""

import copy
import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from safetensors.torch import load_file, save_file

import grokinterp as gi
from grokinterp.runs import files as run_files

pytestmark = pytest.mark.usefixtures("no_type_checker")

WRONG = [None, True, -1, 10**30, 0.5, "x", "1e9", [], [1], {}, {"a": 1}]
Place = tuple[Any, ...]  # keys and positions on the way to a value


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = gi.RunConfig(
        data=gi.DataConfig(p=5, operation=gi.Table("sum", 5, (0, 1, 2, 3, 4) * 5), corruption=0.4),
        model=gi.MLPConfig(d_mlp=4),
        training=gi.TrainConfig(steps=4, eval_every=2),
    )
    start = gi.train(config, device="cpu", progress=False).checkpoint()
    probes = {"row": lambda model: model.W_E[0, 0].detach()}
    run = gi.train(
        config,
        device="cpu",
        progress=False,
        start=start,
        probes=probes,
        checkpoints={"half": gi.at_step(2)},
    )
    return run.save(tmp_path_factory.mktemp("saved") / "run")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "run"))


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def write(folder: Path, about: object) -> None:
    (folder / "run.json").write_text(json.dumps(about))


def sign(folder: Path, about: dict[str, Any]) -> None:
    """Write ``run.json`` with the checksums of the files as they are, and its own."""
    for file in folder.glob("*[!n]"):
        about["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    about["sha256"].pop("run.json", None)
    text = json.dumps(about, sort_keys=True)
    about["sha256"]["run.json"] = hashlib.sha256(text.encode()).hexdigest()
    write(folder, about)


def leaves(about: Any, at: Place = ()) -> Iterator[Place]:
    """Where every value is, containers too; of a long list only the first."""
    yield at
    if isinstance(about, dict):
        for key in about:
            yield from leaves(about[key], (*at, key))
    if isinstance(about, list):
        for i in range(min(2, len(about))):
            yield from leaves(about[i], (*at, i))


def altered(about: Any, at: Place, value: Any) -> Any:
    if not at:
        return value
    about = copy.deepcopy(about)
    inner = about
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return about


def refused(folder: Path, message: str = "run") -> None:
    with pytest.raises(gi.RunFolderError, match=message) as caught:
        gi.Run.load(folder)
    assert str(folder) in str(caught.value)


def loaded_or_refused(folder: Path) -> gi.Run | None:
    """Nothing else may be raised."""
    try:
        return gi.Run.load(folder)
    except gi.RunFolderError as error:
        named = str(folder) in str(error)
    assert named
    return None


@pytest.fixture
def history_is_known(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading it is most of the time, where something else is damaged."""
    history = gi.Run.load(saved).history
    monkeypatch.setattr(run_files, "_read_history", lambda *args: history)


def test_a_value_of_run_json_cannot_be_edited(folder: Path) -> None:
    about, tried = read(folder), 0
    for at in leaves(about):
        before = about
        for key in at:
            before = before[key]
        for value in WRONG:
            if json.dumps(value) != json.dumps(before):
                write(folder, altered(about, at, value))
                refused(folder, r"run\.json|checksum|format")
                tried += 1
    assert tried > 500


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("config", "model", "act"), "relu"),
        (("config", "data", "corruption"), 0.2),
        (("config", "data", "seed"), 1),
        (("config", "seed"), 1),
        (("config", "training", "lr"), 0.5),
        (("config", "data", "operation"), "addition"),
        (("config", "data", "operation", "labels", 3), 4),
        (("diverged_at",), 3),
        (("interrupted_at",), 3),
        (("provenance", "start", "sha256"), "0" * 64),
        (("checkpoints", "half", "step"), 3),
        (("format",), 2),
    ],
)
def test_a_plausible_edit_is_noticed(at: Place, value: object, folder: Path) -> None:
    write(folder, altered(read(folder), at, value))
    refused(folder, r"run\.json was altered: its checksum differs from its own contents; restore")


def test_no_part_of_run_json_can_be_left_out(folder: Path) -> None:
    about = read(folder)
    for at in leaves(about):
        if at and isinstance(at[-1], str):
            without = copy.deepcopy(about)
            inner = without
            for key in at[:-1]:
                inner = inner[key]
            del inner[at[-1]]
            write(folder, without)
            refused(folder)


def test_layout_and_order_of_run_json_do_not_matter(folder: Path) -> None:
    about = read(folder)
    (folder / "run.json").write_text(json.dumps(dict(reversed(about.items()))))
    assert gi.Run.load(folder).config.data.corruption == 0.4


@pytest.mark.parametrize("section", ["data", "model", "training"])
def test_the_data_and_the_network_are_compared_with_the_config(section: str, folder: Path) -> None:
    """Even with checksums that fit."""
    wrong = {
        "data": {"corruption": 0.2, "seed": 1, "p": 7, "train_fraction": 0.6},
        "model": {"d_mlp": 5, "n_layers": 2, "kind": "lstm", "norm": "batch"},
        "training": {"steps": 3},
    }
    about = read(folder)
    for name, value in wrong[section].items():
        sign(folder, altered(about, ("config", section, name), value))
        file = {
            "data": r"run\.json|dataset",
            "model": r"run\.json|model\.safe",
            "training": r"history",
        }[section]
        refused(folder, rf"run/({file})\S* cannot be read: .*; restore it from a copy")


@pytest.mark.usefixtures("history_is_known")
def test_a_signed_value_of_any_type_gives_nothing_raw(folder: Path) -> None:
    """Then the run is what ``run.json`` says, or it is refused."""
    about, loaded = read(folder), 0
    for at in leaves(about):
        if not at or at[0] == "sha256" or at[:2] == ("provenance", "versions"):
            continue
        for value in WRONG:
            now = altered(about, at, value)
            sign(folder, now)
            run = loaded_or_refused(folder)
            if run is not None:
                loaded += 1
                assert run.config == gi.RunConfig.from_dict(now["config"])
                assert run.diverged_at == now["diverged_at"]
    assert loaded > 0


HOSTILE: list[tuple[Place, Any, str]] = [
    (("checkpoints",), ["half"], "which is invalid"),
    (("checkpoints",), {"../../secret": {"step": 1}}, r"missing|cannot name a file"),
    (("checkpoints", "half"), 3, "without step and metrics"),
    (("checkpoints", "half", "metrics"), [1], "has metrics="),
    (("checkpoints", "half", "step"), 10**9, "has step=1000000000"),
    (("checkpoints", "half", "updates"), None, "extra"),
    (("provenance", "start"), [1], "is not a valid checkpoint entry"),
    (("config", "data", "p"), 997, "tokens must have the shape"),
    (("config", "data", "p"), 10**12, "p must be"),
    (("config", "model", "d_mlp"), 10**7, r"far larger network|cannot be read"),
    (("config", "model", "d_mlp"), 10**15, r"cannot be read"),
    (("config", "model", "n_layers"), "1e9", "n_layers must be an integer"),
    (("config", "training", "steps"), 10**9, "more than 1000000 rows"),
]


@pytest.mark.parametrize(("at", "value", "message"), HOSTILE)
def test_nothing_of_the_size_of_a_false_number_is_made(
    at: Place, value: object, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[int] = []
    real = torch.Tensor.normal_

    def normal_(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        filled.append(tensor.numel())
        return real(tensor, *args, **kwargs)

    def no_pairs(*args: object) -> None:
        raise AssertionError("p * p pairs were made")

    about = read(folder)
    if at == ("config", "data", "p"):
        about["config"]["data"]["operation"] = "addition"
        monkeypatch.setattr(run_files, "make_dataset", no_pairs)
    monkeypatch.setattr(torch.Tensor, "normal_", normal_)
    sign(folder, altered(about, at, value))
    refused(folder, message)
    assert max(filled, default=0) <= 2 * 5 * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"format": 3, "config": ' + '{"a":' * 990 + "1" + "}" * 990 + "}", "run.json"),
        ('{"format": ' + "1" * 5000 + "}", "truncated or not JSON"),
        ('{"format": 3, "config": NaN}', "NaN is not a number in JSON"),
        ('{"format": 1e400}', "has no valid format"),
        ('"\\ud800"', "has no valid format"),
    ],
)
def test_json_that_is_made_to_hurt_is_refused(text: str, message: str, folder: Path) -> None:
    (folder / "run.json").write_text(text)
    refused(folder, message)


def test_a_file_that_is_far_too_large_is_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / "run.json").open("r+b") as file:
        file.truncate(2**29)  # sparse

    def read_text(*args: object, **kwargs: object) -> str:
        raise AssertionError("half a gigabyte was read")

    monkeypatch.setattr(Path, "read_text", read_text)
    refused(folder, "larger than")


FILES = ("checkpoint-half.safetensors", "dataset.safetensors", "history.nc", "model.safetensors")


@pytest.mark.parametrize("name", [*FILES, "run.json"])
def test_every_truncation_and_flip_is_found(name: str, folder: Path) -> None:
    data = (folder / name).read_bytes().rstrip(b"\n")
    rng = random.Random(name)
    for size in (0, 1, 8, len(data) // 2, len(data) - 1):
        (folder / name).write_bytes(data[:size])
        refused(folder, name)
    for _ in range(40):
        at, bit = rng.randrange(len(data)), rng.randrange(8)
        (folder / name).write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
        if name == "run.json" and not data[at : at + 1].strip():
            continue  # a space may be any other white space
        refused(folder, r"run\.json|checksum")


@pytest.mark.parametrize("name", FILES)
def test_a_signed_truncation_or_flip_gives_nothing_raw(
    name: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    if name != "history.nc":
        request.getfixturevalue("history_is_known")
    data, rng, about = (folder / name).read_bytes(), random.Random(name), read(folder)
    for i in range(50):
        at = rng.randrange(min(len(data), 3000))  # mostly the header
        flipped = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        (folder / name).write_bytes(flipped if i < 40 else data[:at])
        sign(folder, copy.deepcopy(about))
        loaded_or_refused(folder)


def huge(file: h5py.File) -> None:
    del file["row"]
    file.create_dataset("row", shape=(10**12,), dtype="f8", chunks=(1024,))


def huge_steps(file: h5py.File) -> None:
    del file["step"]
    file.create_dataset("step", shape=(10**12,), dtype="i8", chunks=(1024,))


def huge_dimension(file: h5py.File) -> None:
    huge_steps(file)
    step: Any = file["step"]
    step.make_scale("This is a netCDF dimension but not a netCDF variable.")


def compressed(file: h5py.File) -> None:
    del file["row"]
    file.create_dataset("row", shape=(10**8,), dtype="f8", compression=9, chunks=(10**8,))


def elsewhere(file: h5py.File) -> None:
    del file["row"]
    file.create_dataset("row", shape=(3,), dtype="f8", external=[("/etc/hostname", 0, 24)])


def virtual(file: h5py.File) -> None:
    del file["row"]
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", shape=(3,))
    file.create_virtual_dataset("row", layout)


def link(file: h5py.File) -> None:
    del file["row"]
    file["row"] = h5py.ExternalLink("/etc/hostname", "/")


def backwards(file: h5py.File) -> None:
    step: Any = file["step"]
    step[:] = [4, 2, 0]


def no_losses(file: h5py.File) -> None:
    del file["train_loss"]


@pytest.mark.parametrize(
    "attack",
    [huge, huge_steps, huge_dimension, compressed, elsewhere, virtual, link, backwards, no_losses],
)
def test_a_hostile_history_is_refused(attack: Callable[[h5py.File], None], folder: Path) -> None:
    with h5py.File(folder / "history.nc", "r+") as file:
        attack(file)
    sign(folder, read(folder))
    refused(folder, r"history\.nc cannot be read: ")


def test_hostile_tensors_are_refused(folder: Path) -> None:
    about = read(folder)
    for name, change in {
        "model.safetensors": {"W_U": torch.zeros(4, 5, dtype=torch.int64)},
        "dataset.safetensors": {"extra": torch.zeros(25)},
        "checkpoint-half.safetensors": {"first/W_U": torch.zeros(1)},
    }.items():
        kept = (folder / name).read_bytes()
        save_file(load_file(folder / name) | change, folder / name)
        sign(folder, copy.deepcopy(about))
        refused(folder, rf"{name} cannot be read: ")
        (folder / name).write_bytes(kept)


def test_a_run_of_the_format_before_still_loads(folder: Path) -> None:
    """Its ``run.json`` has no checksum of itself and cannot be unfinished."""
    about = read(folder)
    del about["sha256"]["run.json"], about["interrupted_at"]
    write(folder, about | {"format": 2})
    run = gi.Run.load(folder)
    assert run.interrupted_at is None
    assert run.checkpoints["half"].step == 2
    write(folder, about)  # of today's format it must have one
    refused(folder, "lacks interrupted_at|was altered")
    before = altered(about | {"format": 2}, ("config", "data", "seed"), 1)
    write(folder, before)  # and its data is compared
    refused(folder, r"dataset.safetensors cannot be read: labels differs")
