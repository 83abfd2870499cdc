"""The half that needs torch, transformers, PEFT and TRL: the ``train`` extra."""
