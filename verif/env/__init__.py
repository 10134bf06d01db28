"""The pyuvm environment of the core: agents, register model, reference model, scoreboard, sequences."""
