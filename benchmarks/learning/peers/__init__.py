"""Other libraries' bandits behind ``Learner``; each module needs its library (``make bench-rl``).

None of them can take a reward back, so a late rating that revises one is left out: they learn from
the reward at the end of the call.
"""
