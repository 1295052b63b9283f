"""Compute the results that are missing, one source after the other, within a time if given.

Every finished source is stored at once, so the command can be killed at any moment and goes on
where it was. Experiments also keep their trained networks in ``work``, in a folder named by the key
of the code that trains, so that networks of other code are never taken for these. In it each source
has a folder of its own, unless it says which one it shares: the name of a run holds neither its
steps nor the size of its network, so runs of two sources may have one name.
"""

import importlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from analyses.ledger.entry import Entry, Source
from analyses.ledger.results import ResultError, key_of, load, store, training_key


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which sources will be computed, and which will stay OPEN, with the reason."""

    run: tuple[Source, ...]
    left: tuple[tuple[Source, str], ...]

    def __str__(self) -> str:
        lines = [f"{len(self.run)} to compute, about {sum(s.minutes for s in self.run):.0f} min"]
        lines += [f"stays OPEN: {source.name} ({why})" for source, why in self.left]
        return "\n".join(lines)


def plan(
    entries: Iterable[Entry], folder: Path, *, minutes: float | None = None, again: bool = False
) -> Plan:
    """What a run of these entries will do.

    Args:
        entries: those that are wanted.
        folder: of the stored results.
        minutes: the time that there is; None for no limit. Sources are taken in the order of the
            ledger, and each that still fits is computed.
        again: also compute what has a valid result.
    """
    run: list[Source] = []
    left: list[tuple[Source, str]] = []
    used = 0.0
    for source in {entry.source.name: entry.source for entry in entries}.values():
        if not again and is_valid(folder, source):
            continue
        if source.compute is None:
            left.append((source, source.missing))
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
    say: Callable[[str], object] = print,
    until: float | None = None,
) -> list[Source]:
    """Compute and store sources.

    Args:
        sources: in this order.
        folder: of the stored results.
        work: where experiments keep their networks.
        say: called with a line before and after each.
        until: ``time.monotonic()`` after which no further source is begun.

    Returns:
        Those that were not begun, because the time was over.

    Raises:
        ExceptionGroup: some failed; raised after all others are computed and stored.
    """
    late: list[Source] = []
    errors: list[Exception] = []
    for i, source in enumerate(sources):
        if until is not None and time.monotonic() + 60 * source.minutes > until:
            late.append(source)
            continue
        say(f"[{i + 1}/{len(sources)}] {source.name}, about {source.minutes:.3g} min")
        begin, code = time.perf_counter(), key_of(source)
        try:
            data = compute(source, work)
        except Exception as error:  # one broken source must not cost the night's other results
            say(f"[{i + 1}/{len(sources)}] {source.name} failed: {error}")
            errors.append(error)
            continue
        seconds = time.perf_counter() - begin
        store(folder, source, data, seconds, code)
        say(f"[{i + 1}/{len(sources)}] {source.name} stored after {seconds:.0f} s")
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(sources)} computations failed", errors)
    return late


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
