"""A built site: links, places in pages, and files from elsewhere."""

from pathlib import Path

from analyses.site.checks import faults


def written(folder: Path, **pages: str) -> list[str]:
    for name, body in pages.items():
        (folder / f"{name}.html").write_text(f"<html><body>{body}</body></html>", "utf-8")
    return list(faults(folder))


def test_links_that_lead_somewhere(tmp_path: Path) -> None:
    (tmp_path / "a picture.png").touch()
    first = '<a href="second.html#here">x</a><img src="a%20picture.png"><a href="#top">up</a>'
    assert written(tmp_path, first=first, second='<h2 id="here"><a href="https://a.org">') == []


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        first='<a href="second.html#gone">x</a><a href="third.html">y</a><a href="#away">z</a>',
        second='<iframe src="live.html"></iframe><a href="/first.html">w</a>',
    )
    assert found == [
        "first.html: second.html#gone: second.html has no place 'gone'",
        "first.html: third.html does not exist",
        "first.html: #away: first.html has no place 'away'",
        "second.html: live.html does not exist",
        "second.html: /first.html works at the root of a server only",
    ]


def test_links_out_of_a_site_that_is_reached_by_a_symbolic_link(tmp_path: Path) -> None:
    site, reached = tmp_path / "site", tmp_path / "reached"
    site.mkdir()
    reached.symlink_to(site)
    (tmp_path / "outside.txt").touch()
    assert written(reached, first='<a href="../outside.txt">x</a><a href="#gone">y</a>') == [
        "first.html: ../outside.txt leaves the site",
        "first.html: #gone: first.html has no place 'gone'",
    ]


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    body = '<script src="https://cdn.org/x.js"></script><link href="//fonts.org/f.css">'
    assert written(tmp_path, first=body) == [
        "first.html: loads https://cdn.org/x.js, which is elsewhere",
        "first.html: loads //fonts.org/f.css, which is elsewhere",
    ]
