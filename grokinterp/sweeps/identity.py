"""Say how two sweeps differ: only a sweep with the same arguments may resume a store."""

from collections.abc import Iterator, Mapping
from typing import Any

from grokinterp.short_text import short
from grokinterp.sweeps.fingerprint import Fingerprint

_MOST = 5  # differences listed in a message


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """The differences between two sweeps' identities, and the remedy, as one message.

    Args:
        stored: identity of the sweep that began the store, read from its JSON.
        asked: identity of the sweep that wants to resume it.
    """
    found = list(_plain(stored, asked))
    functions = (_functions(stored), _functions(asked))
    changed = []
    for path in functions[0] | functions[1]:
        changed += _of_functions(path, functions[0].get(path), functions[1].get(path))
    if not found and not changed:  # two different values may have the same label
        found = ["the runs themselves, in a value that its label does not show"]
    words = "; ".join([*found, *changed][:_MOST])
    were, now = (set(given.get("axes", {}).get("seed", ())) for given in (stored, asked))
    if not changed and len(found) == 1 and were < now:
        return (
            f"{words}. Train the new ones into a store of their own, seeds={sorted(now - were)}, "
            'and join them: xarray.concat([open_sweep(...), open_sweep(...)], "seed")'
        )
    if not changed:
        return f"{words}. Use the same arguments, or another store"
    return (
        f"{words}. The stored runs were measured by the old function: restore it, or use another "
        "store. Its enclosed variables, globals, defaults and attributes count as part of it, even "
        "those it changes itself"
    )


def _functions(identity: Mapping[str, Any]) -> dict[str, Fingerprint]:
    measures = {f"measure.{name}": given for name, given in identity["measure"].items()}
    refine = {"refine": identity["refine"]} if identity["refine"] else {}
    return measures | refine


def _plain(stored: object, asked: object, path: str = "") -> Iterator[str]:
    if stored == asked or path in ("runs", "measure", "refine"):
        return
    if isinstance(stored, dict) and isinstance(asked, dict):
        for key in {**stored, **asked}:
            inner = f"{path}.{key}" if path else str(key)
            yield from _plain(stored.get(key), asked.get(key), inner)
    elif short(stored) != short(asked):
        yield f"{path} was {short(stored)}, now {short(asked)}"
    elif not isinstance(stored, list) or not isinstance(asked, list):
        yield f"{path} was another {short(stored)}"
    elif len(stored) != len(asked):
        yield f"{path} had {len(stored)} entries, now {len(asked)}"
    else:
        for i, (before, now) in enumerate(zip(stored, asked, strict=True)):
            yield from _plain(before, now, f"{path}[{i}]")


def _of_functions(path: str, stored: Fingerprint | None, asked: Fingerprint | None) -> list[str]:
    if stored == asked:
        return []
    names = [next(iter(given)) if given else None for given in (stored, asked)]
    if stored is None or asked is None or names[0] != names[1]:
        return [f"{path} was {names[0]}, now {names[1]}"]
    found = []
    for name in stored | asked:
        before, after = stored.get(name, {}), asked.get(name, {})
        for piece in before | after:
            was, now = before.get(piece, "not used"), after.get(piece, "not used")
            if was != now and piece == "code":
                found.append(f"the code of {name}")
            elif was != now:
                found.append(f"{piece} of {name}, which was {was}, now {now}")
    return [f"{path} has changed: {'; '.join(found[:_MOST])}"]
