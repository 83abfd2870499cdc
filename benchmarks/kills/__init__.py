"""Kills a serving TOM at random moments, and looks from outside at what is left."""
