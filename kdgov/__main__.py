"""``python -m kdgov``."""

from __future__ import annotations

from kdgov.cli.app import main

if __name__ == "__main__":
    main()
