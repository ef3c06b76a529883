"""The chat that ``greenws demo`` serves."""
