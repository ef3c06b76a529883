"""What a number of connections takes, and whether this machine has it: ``greenws doctor`` and ``greenws plan``."""
