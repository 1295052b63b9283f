"""Pages of the reference: mkdocstrings fills them from docstrings."""

import importlib
from collections.abc import Iterator
from types import ModuleType

from analyses.site.topics import EXTENDING, OF_ANALYSES, OF_GROKINTERP, OF_PROBES


def pages() -> dict[str, dict[str, str]]:
    """Package -> title of a page -> its Markdown."""
    return {
        "grokinterp": {
            title: _page(title, [_name("grokinterp", name) for name in names])
            for title, names in names_of_grokinterp().items()
        }
        | {title: _modules("grokinterp", title, names) for title, names in EXTENDING.items()},
        "probes": {title: _page(title, list(_probes(names))) for title, names in OF_PROBES.items()},
        "analyses": {
            title: _modules("analyses", title, names) for title, names in OF_ANALYSES.items()
        },
    }


def names_of_grokinterp() -> dict[str, list[str]]:
    """Title of a page -> public names."""
    return {title: names.split() for title, names in OF_GROKINTERP.items()}


def names_of_probes() -> dict[str, list[str]]:
    """Module -> its public names, for the modules that have a page."""
    wanted = [module for modules in OF_PROBES.values() for module in modules.split()]
    return {module: _names_in(module) for module in wanted}


def _names_in(module: str) -> list[str]:
    """Public names of ``probes`` that are from a module."""
    import probes

    places = {name: getattr(probes, name).__module__ for name in probes.__all__}
    return [name for name, place in places.items() if _last(place) == module]


def _page(title: str, parts: list[str]) -> str:
    return "\n\n".join([f"# {title}", *parts]) + "\n"


def _probes(modules: str) -> Iterator[str]:
    """Each module's text, and below it the names that ``probes`` has from there."""
    import probes

    for module in modules.split():
        names = _names_in(module)
        home = getattr(probes, names[0]).__module__
        yield _directive(home, heading=f"{home} (module)", toc_label=module, members=[])
        yield from (_name("probes", name, heading_level=3) for name in names)


def _modules(package: str, title: str, names: str) -> str:
    """Modules with their public functions and classes."""
    return _page(
        title,
        [
            _directive(f"{package}.{name}", heading=f"{package}.{name}", toc_label=_last(name))
            for name in names.split()
        ],
    )


def _name(package: str, name: str, **options: object) -> str:
    """One public name, under what users type; it may also be the name of a module."""
    found = getattr(importlib.import_module(package), name)
    heading = f"{'gi' if package == 'grokinterp' else package}.{name}"
    if isinstance(found, ModuleType):
        return _directive(found.__name__, heading=heading, toc_label=name, members=[], **options)
    path = f"{found.__module__}.{found.__qualname__}"
    return _directive(path, heading=heading, toc_label=name, **options)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _directive(path: str, **options: object) -> str:
    def lines() -> Iterator[str]:
        yield f"::: {path}"
        yield "    options:"
        for name, value in options.items():
            yield f"      {name}: {value}"

    return "\n".join(lines())


def address_of(package: str, title: str) -> str:
    """Where a page is on the site: "reference/probes/spectra-and-ipr.md"."""
    letters = "".join(letter if letter.isalnum() else " " for letter in title.lower())
    return f"reference/{package}/{'-'.join(letters.split())}.md"
