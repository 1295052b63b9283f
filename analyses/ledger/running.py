"""Compute the results that are missing, one or several sources at a time, within a time if given.

Every finished source is stored at once, so the command can be killed at any moment and goes on
where it was. Experiments also keep their trained networks in ``work``, in a folder named by the key
of the code that trains, so that networks of other code are never taken for these. In it each source
has a folder of its own, unless it says which one it shares: the name of a run holds neither its
steps nor the size of its network, so runs of two sources may have one name.
"""

import importlib
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from analyses.ledger.entry import Entry, Source, sources_of
from analyses.ledger.lanes import done, with_output_in
from analyses.ledger.results import (
    Result,
    ResultError,
    key_now,
    key_of,
    load,
    parts_of,
    store,
    training_key,
)
from analyses.ledger.verdicts import unread


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which sources will be computed, and which will stay OPEN, with the reason."""

    run: tuple[Source, ...]
    left: tuple[tuple[Source, str], ...]

    def __str__(self) -> str:
        lines = [f"{len(self.run)} to compute, about {sum(s.minutes for s in self.run):.0f} min"]
        lines += [f"stays OPEN: {source.name} ({why})" for source, why in self.left]
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run left undone."""

    late: tuple[Source, ...]  # not begun, because the time was over
    faults: tuple[str, ...]  # what failed, or is stored and not in order


def plan(
    entries: Iterable[Entry],
    folder: Path,
    *,
    minutes: float | None = None,
    again: bool = False,
    gpu: bool = False,
) -> Plan:
    """What a run of these entries will do.

    Args:
        entries: those that are wanted.
        folder: of the stored results.
        minutes: the time that there is; None for no limit. Sources are taken in the order of the
            ledger, and each that still fits is computed.
        again: also compute what has a valid result.
        gpu: also compute what takes hours on a GPU.
    """
    run: list[Source] = []
    left: list[tuple[Source, str]] = []
    used = 0.0
    for source in sources_of(entries):
        if not again and is_valid(folder, source):
            continue
        absent = [part.name for part in source.parts if part in [one for one, _ in left]]
        if absent:
            left.append((source, f"needs {', '.join(absent)}, which will not be there"))
        elif source.compute is None:
            left.append((source, source.missing))
        elif source.tier == "gpu" and not gpu:
            left.append((source, f"needs a GPU, {source.needs}; --tier gpu runs it without one"))
        elif minutes is not None and used + source.minutes > minutes:
            left.append((source, f"needs {source.needs}, {minutes - used:.0f} min are left"))
        else:
            run.append(source)
            used += source.minutes
    return Plan(run=tuple(run), left=tuple(left))


def is_valid(folder: Path, source: Source) -> bool:
    """Whether there is a result of this source by the present code."""
    try:
        return load(folder, source) is not None
    except ResultError:
        return False


def run_all(
    sources: Sequence[Source],
    folder: Path,
    work: Path,
    *,
    entries: Iterable[Entry],
    say: Callable[[str], object] = print,
    until: float | None = None,
    processes: int = 1,
) -> Outcome:
    """Compute and store sources. One that fails does not stop the others.

    What was computed is stored whatever is wrong with it, as it may have taken hours: a result that
    lacks what an entry reads, and one whose code was edited meanwhile, which is stale.

    Args:
        sources: in this order, but a source waits for its parts, and those that share a folder of
            runs are never computed at the same time.
        folder: of the stored results.
        work: where experiments keep their networks, what failed its traceback, and sources that
            have a process of their own what they print.
        entries: that read them.
        say: called with a line before and after each.
        until: ``time.monotonic()`` after which no further source is begun.
        processes: how many to compute at once, each in a process of its own; 1 is this process.
    """
    late: list[Source] = []
    faults: list[str] = []
    before = {source.name: key_of(source) for source in sources}  # no measure is imported yet
    places = {source.name: place(source) for source in sources}
    heads = {one.name: f"[{i + 1}/{len(sources)}] {one.name}" for i, one in enumerate(sources)}
    readers = list(entries)

    def begin(source: Source) -> tuple[Any, ...] | None:
        is_late = until is not None and time.monotonic() + 60 * source.minutes > until
        if is_late or any(part in late for part in source.parts):
            late.append(source)
            return None
        line = f"{heads[source.name]}, about {source.minutes:.3g} min"
        call = _one, source, before[source.name], folder, work
        if processes == 1:
            say(line)
            return call
        log = work / f"{source.name}.log"
        say(f"{line}; it prints to {log}")
        return with_output_in, log, *call

    for source, future in done(
        sources,
        begin,
        after=lambda source: source.parts,
        apart=lambda source: places[source.name],
        lanes=processes,
    ):
        try:
            one = future.result()
        except BrokenExecutor:
            died = "a process died (killed, or out of memory): run it again, with fewer processes"
            one = _Done(wrong=[died])
        wrong = list(one.wrong)
        if one.seconds is not None:
            say(f"{heads[source.name]} stored after {one.seconds:.0f} s")
            wrong += _unread(source, folder, readers)
        for fault in wrong:
            say(f"{heads[source.name]}: {fault}")
            faults.append(f"{source.name}: {fault}")
    return Outcome(late=tuple(late), faults=tuple(faults))


@dataclass(frozen=True, kw_only=True)
class _Done:
    """What became of a source."""

    seconds: float | None = None  # that it took; None if nothing was stored
    wrong: Sequence[str] = ()


def _one(source: Source, key: str, folder: Path, work: Path) -> _Done:
    """Compute and store one source, whose code had this key when the command began."""
    begin = time.perf_counter()
    try:
        if key_now(source) != key:
            raise RuntimeError("its code was edited since this command began; run it again")
        data = compute(source, work, parts_of(folder, source))
        seconds, after = time.perf_counter() - begin, key_now(source)
        if after == key:
            store(folder, source, data, seconds, after)
            return _Done(seconds=seconds)
        store(folder, source, data, seconds, f"{key}, then {after}")
        wrong = (
            "its code was edited while it ran, so the result is stored as stale; run it "
            "again from files that stay as they are, such as those of another worktree"
        )
        return _Done(seconds=seconds, wrong=[wrong])
    except Exception as error:  # one broken source must not cost the night's other results
        file = work / f"{source.name}.error.txt"
        work.mkdir(parents=True, exist_ok=True)
        file.write_text(traceback.format_exc(), encoding="utf-8")
        return _Done(wrong=[f"{type(error).__name__}: {error} (traceback in {file})"])


def _unread(source: Source, folder: Path, entries: Iterable[Entry]) -> list[str]:
    """What entries read, and the stored result of their source lacks."""
    try:
        result: Result | None = load(folder, source)
    except ResultError as error:
        result = error.result
    if result is None:
        return ["it was stored, but cannot be read again"]
    of_source = (entry for entry in entries if entry.source.name == source.name)
    return [fault for entry in of_source for fault in unread(entry, result)]


def compute(source: Source, work: Path, parts: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """The result of a source, computed here and now, given those of its parts by name."""
    if source.compute is None:
        raise ValueError(f"{source.name} cannot be run yet: {source.missing}")
    module, _, name = source.compute.partition(":")
    function = getattr(importlib.import_module(module), name)
    given = {"parts": parts} if source.parts else {}
    return function(seeds=source.seeds, work=work / place(source), **given, **source.settings)


def place(source: Source) -> Path:
    """The folder of a source's runs, below ``work``."""
    return Path(training_key(source), source.name if source.runs is None else source.runs)
