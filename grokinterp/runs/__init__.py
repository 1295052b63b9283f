"""A trained run, and its folder on disk."""

from grokinterp.runs.folder import RunFolderError
from grokinterp.runs.run import Run, provenance

__all__ = ["Run", "RunFolderError", "provenance"]
