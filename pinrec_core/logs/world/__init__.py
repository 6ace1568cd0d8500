"""The synthetic world: its people and pins, what happens in a day, the tables it writes, the oracle's best guess."""
