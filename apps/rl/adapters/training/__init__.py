"""Training of adapters, in a process of its own.

What stands here decides and describes: configurations, the split, the resume, the records. It
imports no torch, so that a server may ask for a training and follow it (``process.py``). What
needs torch is in ``worker`` and runs as ``python -m apps.rl.adapters.training``.
"""
