"""What the deploy guard's statistics cost: innocents blacklisted, and calls until a bad one is."""
