"""Trained runs, and the folders on disk that hold them."""

from grokinterp.runs.folder import RunFolderError
from grokinterp.runs.run import Run, provenance

__all__ = ["Run", "RunFolderError", "provenance"]
