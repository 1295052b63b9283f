"""Compute the results that are missing, one source after the other, within a time if given.

Every finished source is stored at once, so the command can be killed at any moment and goes on
where it was. Experiments also keep their trained networks in ``work``, in a folder named by the key
of the code that trains, so that networks of other code are never taken for these. In it each source
has a folder of its own, unless it says which one it shares: the name of a run holds neither its
steps nor the size of its network, so runs of two sources may have one name.
"""

import importlib
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from analyses.ledger.entry import Entry, Source
from analyses.ledger.results import (
    Result,
    ResultError,
    key_now,
    key_of,
    load,
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
    for source in {entry.source.name: entry.source for entry in entries}.values():
        if not again and is_valid(folder, source):
            continue
        if source.compute is None:
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
) -> Outcome:
    """Compute and store sources. One that fails does not stop the others.

    What was computed is stored whatever is wrong with it, as it may have taken hours: a result that
    lacks what an entry reads, and one whose code was edited meanwhile, which is stale.

    Args:
        sources: in this order.
        folder: of the stored results.
        work: where experiments keep their networks, and what failed its traceback.
        entries: that read them.
        say: called with a line before and after each.
        until: ``time.monotonic()`` after which no further source is begun.
    """
    late: list[Source] = []
    faults: list[str] = []
    before = {source.name: key_of(source) for source in sources}  # no measure is imported yet
    readers = list(entries)
    for i, source in enumerate(sources):
        if until is not None and time.monotonic() + 60 * source.minutes > until:
            late.append(source)
            continue
        head = f"[{i + 1}/{len(sources)}] {source.name}"
        say(f"{head}, about {source.minutes:.3g} min")
        begin, wrong = time.perf_counter(), []
        try:
            if key_now(source) != before[source.name]:
                raise RuntimeError("its code was edited since this command began; run it again")
            data = compute(source, work)
            seconds, after = time.perf_counter() - begin, key_now(source)
            if after == before[source.name]:
                store(folder, source, data, seconds, after)
            else:
                store(folder, source, data, seconds, f"{before[source.name]}, then {after}")
                wrong.append(
                    "its code was edited while it ran, so the result is stored as stale; run it "
                    "again from files that stay as they are, such as those of another worktree"
                )
            wrong += _unread(source, folder, readers)
            say(f"{head} stored after {seconds:.0f} s")
        except Exception as error:  # one broken source must not cost the night's other results
            file = work / f"{source.name}.error.txt"
            work.mkdir(parents=True, exist_ok=True)
            file.write_text(traceback.format_exc(), encoding="utf-8")
            wrong.append(f"{type(error).__name__}: {error} (traceback in {file})")
        for fault in wrong:
            say(f"{head}: {fault}")
            faults.append(f"{source.name}: {fault}")
    return Outcome(late=tuple(late), faults=tuple(faults))


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


def compute(source: Source, work: Path) -> xr.Dataset:
    """The result of a source, computed here and now."""
    if source.compute is None:
        raise ValueError(f"{source.name} cannot be run yet: {source.missing}")
    module, _, name = source.compute.partition(":")
    function = getattr(importlib.import_module(module), name)
    return function(seeds=source.seeds, work=work / place(source), **source.settings)


def place(source: Source) -> Path:
    """The folder of a source's runs, below ``work``."""
    return Path(training_key(source), source.name if source.runs is None else source.runs)
