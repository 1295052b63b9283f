"""Links and anchors of a built site: each must lead to a file and a place that exist."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_ADDRESSES = {"a": "href", "link": "href", "img": "src", "script": "src", "iframe": "src"}
_LOADED = ("link", "img", "script", "iframe")  # what a browser fetches by itself


class _Page(HTMLParser):
    """The places and the links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[tuple[str, str]] = []  # tag, address
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places |= {value for name in ("id", "name") if (value := given.get(name))}
        address = given.get(_ADDRESSES.get(tag, ""))
        if address is not None and given.get("rel") != "canonical":
            self.links.append((tag, address))


def faults(site: Path) -> Iterator[str]:
    """A sentence for each link that leads nowhere, and for each file loaded from elsewhere.

    The page for addresses that do not exist is left out: a server shows it anywhere, so its links
    begin at the server's root.
    """
    site = site.resolve()
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    pages.pop(site / "404.html", None)
    for path, page in pages.items():
        for tag, address in page.links:
            if (said := _fault(site, path, tag, address, pages)) is not None:
                yield f"{path.relative_to(site)}: {said}"


def _fault(site: Path, path: Path, tag: str, address: str, pages: dict[Path, _Page]) -> str | None:
    parts = urlsplit(address)
    if parts.scheme == "data":
        return None
    if parts.scheme or parts.netloc:
        return f"loads {address}, which is elsewhere" if tag in _LOADED else None
    if address.startswith("/"):
        return f"{address} works at the root of a server only"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.is_relative_to(site):
        return f"{address} leaves the site"
    if not target.exists():
        return f"{address} does not exist"
    place = unquote(parts.fragment)
    if place and target in pages and place not in pages[target].places | {"", "top"}:
        return f"{address}: {target.name} has no place {place!r}"
    return None
