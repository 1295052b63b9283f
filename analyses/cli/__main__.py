"""``python -m analyses.cli`` is ``grokinterp``."""

from analyses.cli import app

if __name__ == "__main__":
    app(prog_name="grokinterp")
