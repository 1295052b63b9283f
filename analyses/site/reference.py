"""Pages of the reference: mkdocstrings fills them from docstrings."""

from collections.abc import Iterator
from types import ModuleType

from analyses.site.topics import OF_ANALYSES, OF_GROKINTERP, OF_PROBES


def pages() -> dict[str, dict[str, str]]:
    """Package -> title of a page -> its Markdown."""
    import grokinterp
    import probes

    return {
        "grokinterp": {
            title: _page(title, [_name(grokinterp, "gi", name) for name in names])
            for title, names in names_of_grokinterp().items()
        },
        "probes": {
            title: _page(title, [_name(probes, "probes", name) for name in names])
            for title, names in names_of_probes().items()
        },
        "analyses": {
            title: _page(title, list(map(_module, names.split())))
            for title, names in OF_ANALYSES.items()
        },
    }


def names_of_grokinterp() -> dict[str, list[str]]:
    """Title of a page -> public names."""
    return {title: names.split() for title, names in OF_GROKINTERP.items()}


def names_of_probes() -> dict[str, list[str]]:
    """Title of a page -> public names, by the module that each is from."""
    import probes

    modules = {name: getattr(probes, name).__module__.rpartition(".")[2] for name in probes.__all__}
    return {
        title: [name for module in wanted.split() for name in modules if modules[name] == module]
        for title, wanted in OF_PROBES.items()
    }


def _page(title: str, parts: list[str]) -> str:
    return "\n\n".join([f"# {title}", *parts]) + "\n"


def _name(package: ModuleType, short: str, name: str) -> str:
    """One public name, under what users type; it may also be the name of a module."""
    found, heading = getattr(package, name), f"{short}.{name}"
    if isinstance(found, ModuleType):
        return _directive(found.__name__, heading=heading, toc_label=name, members=[])
    path = f"{found.__module__}.{found.__qualname__}"
    return _directive(path, heading=heading, toc_label=name)


def _module(name: str) -> str:
    """A module of ``analyses`` with its public functions and classes."""
    path = f"analyses.{name}"
    return _directive(path, heading=path, toc_label=name.rpartition(".")[2])


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
