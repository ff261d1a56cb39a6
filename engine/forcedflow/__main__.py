"""``python -m forcedflow``."""

from forcedflow.cli import main

main()
