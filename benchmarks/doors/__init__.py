"""How many calls each door holds on one core, and how late audio is by going through it."""
