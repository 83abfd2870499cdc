"""The offline trainer: which combinations of slots are worth trying next (docs/offline-trainer.md).

``read`` the calls, ``train`` on them, ``report`` it, and ``export`` the candidates that the deploy
guard takes in. Everything but reading and writing is pure.
"""

from apps.rl.trainer.calls import Gathered, TrainingCall, gather, read
from apps.rl.trainer.candidates import Bar, Candidate, candidate_id, export, file_name, to_yaml
from apps.rl.trainer.training import Known, Rules, TooLittle, Training, train

__all__ = [
    "Bar",
    "Candidate",
    "Gathered",
    "Known",
    "Rules",
    "TooLittle",
    "Training",
    "TrainingCall",
    "candidate_id",
    "export",
    "file_name",
    "gather",
    "read",
    "to_yaml",
    "train",
]
