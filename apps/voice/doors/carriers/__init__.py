"""What the doors of telephone carriers and exchanges share."""
