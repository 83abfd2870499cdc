"""PocketSphinx's decoder with the searches of all profiles, fed with our own features.

Loaded in worker processes only: it holds the GIL while it decodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pocketsphinx

from apps.voice.stt.build import DICTIONARY, RATING, ensure_models, language_model, log_probs_of
from apps.voice.stt.features import CEPSTRA, Frames
from apps.voice.stt.general import LogProbs

GENERAL = "<general>"
_LOG_BASE = 1.0001
_PARTIAL = "partial "
_WARM_UP_FRAMES = 50
_VARIANT = re.compile(r"\(\d+\)")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What one search made of an utterance.

    Attributes:
        text: The words.
        score: Log likelihood of acoustics and language together; comparable between searches
            that run over the same features.
        posterior: Of the best path in its own lattice, in [0, 1].
        frames: How many frames it covers.
    """

    text: str
    score: float
    posterior: float
    frames: int

    @property
    def confidence(self) -> float:
        """The posterior per word: long utterances are not less certain for being long."""
        words = len(self.text.split())
        return min(1.0, max(0.0, self.posterior)) ** (1.0 / words) if words else 0.0


class SphinxDecoder:
    """One decoder: the acoustic model, the dictionary and a search for each language model.

    Args:
        folder: The models' folder, already placed; it is built here when it is not there yet.
    """

    def __init__(self, folder: Path) -> None:
        model_dir = Path(pocketsphinx.get_model_path()) / "en-us"
        self.profiles = ensure_models(
            folder,
            load_general=_load_general,
            dictionary=model_dir / "cmudict-en-us.dict",
        )
        self._decoder = pocketsphinx.Decoder(
            loglevel="FATAL", lm=None, dict=str(folder / DICTIONARY)
        )
        config = self._decoder.config
        config["cmn"] = "none"
        self._decoder.reinit_feat(config)
        # Always from files: a search made by add_lm() does without phone lookahead, four times
        # slower. The settings hold for the searches that are added after them.
        self._decoder.add_lm_file(GENERAL, str(model_dir / "en-us.lm.bin"))
        for profile in (*self.profiles, RATING):
            self._decoder.add_lm_file(profile, str(language_model(folder, profile)))
        config["fwdflat"] = config["bestpath"] = False
        for profile in self.profiles:
            self._decoder.add_lm_file(_PARTIAL + profile, str(language_model(folder, profile)))

    def warm_up(self) -> None:
        """Run every search once, so that the first caller does not pay for first-time work."""
        silence = np.zeros((_WARM_UP_FRAMES, CEPSTRA))
        for search in (GENERAL, RATING, *self.profiles):
            self.decode(silence, search)

    def decode(self, cepstra: Frames, search: str) -> Hypothesis:
        """Run one search over a whole utterance.

        Args:
            cepstra: Normalised cepstra, shape (n, 13).
            search: A profile, `GENERAL` or `RATING`.
        """
        decoder = self._decoder
        decoder.activate_search(search)
        decoder.start_utt()
        decoder.process_cep(_as_bytes(cepstra), full_utt=True)
        decoder.end_utt()
        best = decoder.hyp()
        if best is None:
            return Hypothesis("", float("-inf"), 0.0, len(cepstra))
        return Hypothesis(_words(best.hypstr), best.score, best.prob, len(cepstra))

    def glance(self, cepstra: Frames, profile: str) -> str:
        """Return the words of an unfinished utterance by the first, quickest pass alone."""
        return self.decode(cepstra, _PARTIAL + profile).text


def _load_general() -> LogProbs:
    """Return the probabilities of the general model, which only a decoder can load."""
    return log_probs_of(pocketsphinx.Decoder(loglevel="FATAL").get_lm("_default"), _LOG_BASE)


def _as_bytes(cepstra: Frames) -> bytes:
    return np.ascontiguousarray(cepstra, dtype=np.float32).tobytes()


def _words(hypothesis: str) -> str:
    return " ".join(_VARIANT.sub("", word) for word in hypothesis.split() if word[0] not in "<[+")
