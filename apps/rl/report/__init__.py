"""What the store tells of the whole deployment: off-policy estimates, and `tom rl report`'s page.

``history.read`` reads, ``evaluations`` and ``course`` work it out, ``plots`` and ``document`` show
it. Everything but reading is pure.
"""
