"""``python -m evorelay``."""

from evorelay.cli.main import main

main()
