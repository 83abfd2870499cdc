"""How well documents' passages are found, and how well it is known that none answers."""
