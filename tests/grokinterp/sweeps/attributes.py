"""What a store says of itself, changed."""

import json
from pathlib import Path


def edit_attributes(store: Path, **changes: object) -> None:
    """In both of their places."""
    about = json.loads((store / ".zattrs").read_text()) | changes
    (store / ".zattrs").write_text(json.dumps(about))
    everything = json.loads((store / ".zmetadata").read_text())
    everything["metadata"][".zattrs"] = about
    (store / ".zmetadata").write_text(json.dumps(everything))
