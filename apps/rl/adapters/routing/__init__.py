"""Which adapter answers a prompt: keywords first, then likeness, then a bandit where both doubt."""
