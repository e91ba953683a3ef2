"""``python -m vecq_hw`` is ``vecq``."""

from vecq_hw.cli import main

main()
