"""A bad network on loopback, seeded, and what RTP makes of it."""
