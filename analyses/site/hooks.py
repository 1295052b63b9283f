"""What MkDocs calls while it builds the site (``hooks`` in ``mkdocs.yml``)."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from analyses.site.checks import faults
from analyses.site.pages import contents, made, relinked

ROOT = Path(__file__).parents[2]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The menu, from the pages that there are."""
    config.nav = contents(ROOT)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for address, content in made(ROOT).items():
        files.append(File.generated(config, address, content=content()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they are in the repository lead to the site's pages."""
    return relinked(markdown, page.file.src_uri)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site with a link that leads nowhere."""
    if found := list(faults(Path(config.site_dir))):
        raise PluginError("\n".join(["links that lead nowhere:", *found]))
