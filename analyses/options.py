"""Options that experiments and the commands of ``grokinterp`` share."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="folder for the runs and the page of figures")
]
Size = Annotated[
    str,
    typer.Option(
        help="tiny (toys, about a minute), small (minutes to hours) or published (hours to days)"
    ),
]
Seeds = Annotated[int, typer.Option(min=1, help="runs per setting")]
Network = Annotated[str, typer.Option("--network", "--name", help="transformer, lstm or mlp")]
Networks = Annotated[
    list[str] | None, typer.Option("--network", "--name", help="transformer, lstm, mlp; repeatable")
]
Fractions = Annotated[
    list[float] | None, typer.Option("--fraction", help="of all pairs; repeatable")
]
EstimateOnly = Annotated[
    bool, typer.Option("--estimate-only", "--dry-run", help="print how long it takes, and stop")
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON and nothing else")]
