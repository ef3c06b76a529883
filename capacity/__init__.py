"""Ten thousand connections on one machine, measured while they are open: ``python -m capacity``."""
