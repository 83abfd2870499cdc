"""Fits the map that makes telephone speech wide again.

``python -m benchmarks.recognition.fit_band`` speaks answers of the knowledge base with flite's
tuning voices, each also as a smaller and a larger person, and two voices of espeak-ng, once
wide-band and once over a telephone, and writes ``apps/voice/stt/telephone_band.json``: the ridge
regression from the telephone's lower filters to the wide-band speech's cepstra, each of them
stretched to the variance that it should have.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import apps.voice.stt
from apps.core.audio import Samples, pcm_to_samples
from apps.core.resources import resource
from apps.knowledge.entries import load_entries
from apps.voice.stt.band import neighbourhoods, normalised_cepstra
from apps.voice.stt.features import MelStream
from apps.voice.tts.base import SpeechStyle, pcm_of
from apps.voice.tts.espeak import EspeakTts
from benchmarks.recognition.speech import flite, framed, telephone

FLITE_VOICES = ("awb", "kal16")
ESPEAK_VOICES = ("en-us", "en-us+f3")
SIZES = (1.0, 1.17, 0.92)
FLITE_SENTENCES, ESPEAK_SENTENCES = 48, 24
RIDGE = 1e-3
TARGET = Path(apps.voice.stt.__file__).with_name("telephone_band.json")


def fit(speech: list[Samples]) -> NDArray[np.float64]:
    """Return the map from 54 telephone features to 13 wide-band cepstra, shape (54, 13)."""
    inputs, targets = [], []
    for samples in speech:
        wide, narrow = (MelStream().push(s) for s in (samples, telephone(samples)))
        count = min(len(wide), len(narrow))
        inputs.append(neighbourhoods(narrow[:count]))
        targets.append(normalised_cepstra(wide[:count], narrow=False))
    x, y = np.concatenate(inputs), np.concatenate(targets)
    gram = x.T @ x
    ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    guess = np.linalg.solve(gram + ridge, x.T @ y)
    return np.asarray(guess * np.sqrt((y**2).mean(axis=0) / ((x @ guess) ** 2).mean(axis=0)))


async def espeak(sentences: list[str]) -> list[Samples]:
    """Return sentences as each of espeak-ng's voices speaks them."""
    tts = EspeakTts()
    await tts.start()
    try:
        spoken = []
        for voice in ESPEAK_VOICES:
            for sentence in sentences:
                style = SpeechStyle("en", voice=voice)
                pcm = await pcm_of(tts.synthesise(sentence, style))
                spoken.append(framed(pcm_to_samples(pcm)))
        return spoken
    finally:
        await tts.close()


def main() -> None:
    """Fit the map and write it."""
    entries = load_entries(resource("knowledge"))
    sentences = [entry.sentences[0] for entry in entries if entry.language == "en"]
    chosen = sentences[:FLITE_SENTENCES]
    speech = [flite(s, v, size=size) for v in FLITE_VOICES for size in SIZES for s in chosen]
    speech += asyncio.run(espeak(sentences[:ESPEAK_SENTENCES]))
    rows = [[round(float(x), 4) for x in row] for row in fit(speech)]
    lines = ",\n".join(json.dumps(row) for row in rows)
    TARGET.write_text(f"[{lines}]\n", encoding="utf-8")
    print(f"{TARGET}: {len(rows)} rows from {len(speech)} sentences")


if __name__ == "__main__":
    main()
