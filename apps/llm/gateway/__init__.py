"""The way to the language servers: which one is asked, when the next one is, and what it costs.

What decides is pure: the circuit breaker (`breaker.py`), what is known of each provider and which
one is next (`board.py`), in which order they are asked (`choice.py`). What does is thin: the
gateway (`gateway.py`) and the watch over the servers' health (`watch.py`).
"""
