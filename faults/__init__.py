"""What happens when things go wrong, measured: ``make faults``. Each fault has a server and processes of its own."""
