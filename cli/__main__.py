"""`python -m pynet.cli`: the command where no script of that name is installed."""

from __future__ import annotations

from .main import main

if __name__ == "__main__":
    main()
