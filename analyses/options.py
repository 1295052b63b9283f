"""An option that all commands have which train runs."""

from typing import Annotated

import typer

EstimateOnly = Annotated[
    bool, typer.Option("--estimate-only", "--dry-run", help="say how long it takes, and stop")
]
