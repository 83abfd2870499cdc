"""Makes a Whisper model of a few features, by hand: real files for the real decoder, in a second.

It knows no speech, but what it writes follows from what it is given, so that tests can tell:
it counts ("one two three", in German "eins zwei drei") by about one word for every half second of
voiced audio in its window, and begins with "asked" when words were prompted. Features come in
pairs of opposite sign, so that layer normalisation only scales them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from ctranslate2.specs import whisper_spec
from tokenizers import decoders, models, pre_tokenizers

EN = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
DE = ("eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn")
ASKED = "asked"

PAIRS, WIDTH, MELS = 32, 64, 80
# Where each feature lies; COUNT + k is set after the k-th word, COUNT itself at the beginning.
CONST, AUDIO, LANGUAGE, IS_LANGUAGE, PROMPT, IS_PROMPT, TRANSCRIBE, WAS_ASKED, COUNT = range(9)
SURE = 10_000.0

EN_WORDS, DE_WORDS, ASKED_WORD = 300, 320, 340
EOT, SOT, EN_TAG, DE_TAG, TRANSLATE, TRANSCRIBE_TAG, SOT_LM, SOT_PREV = range(350, 358)
NO_SPEECH, NO_TIMESTAMPS, FIRST_TIMESTAMP = range(358, 361)
SPECIAL = "endoftext startoftranscript en de translate transcribe startoflm startofprev"
VOCABULARY_SIZE = FIRST_TIMESTAMP + 1501


def vocabulary() -> list[str]:
    """Return the tokens, in the order that CTranslate2 expects of a Whisper model."""
    tokens = [f"<unused-{i}>" for i in range(VOCABULARY_SIZE)]
    for i, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet())):
        tokens[i] = byte
    tokens[256] = ""  # CTranslate2 takes a model that has it for a multilingual one
    for first, words in ((EN_WORDS, EN), (DE_WORDS, DE), (ASKED_WORD, [ASKED])):
        for i, word in enumerate(words):
            tokens[first + i] = byte_level(" " + word)
    for i, name in enumerate([*SPECIAL.split(), "nospeech", "notimestamps"]):
        tokens[EOT + i] = f"<|{name}|>"
    for i in range(FIRST_TIMESTAMP, VOCABULARY_SIZE):
        tokens[i] = f"<|{(i - FIRST_TIMESTAMP) * 0.02:.2f}|>"
    return tokens


def byte_level(text: str) -> str:
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return split.pre_tokenize_str(text)[0][0]


def paired(rows: int, entries: dict[tuple[int, int], float]) -> np.ndarray:
    """Return weights, shape (rows, WIDTH), that have each entry in both halves, negated."""
    weights = np.zeros((rows, WIDTH), np.float32)
    for (row, feature), value in entries.items():
        weights[row, feature] += value
        weights[row, feature + PAIRS] -= value
    return weights


def moved(entries: dict[tuple[int, int], float], gain: float = 1.0) -> np.ndarray:
    """Return weights, shape (WIDTH, WIDTH), that copy feature b to feature a, pairs as pairs."""
    weights = np.zeros((WIDTH, WIDTH), np.float32)
    for (to, source), value in entries.items():
        weights[to, source] = weights[to + PAIRS, source + PAIRS] = gain * value
    return weights


def embeddings() -> np.ndarray:
    """Return what each token puts into the decoder, shape (VOCABULARY_SIZE, WIDTH)."""
    entries: dict[tuple[int, int], float] = {
        (EN_TAG, IS_LANGUAGE): -1.0,
        (DE_TAG, IS_LANGUAGE): 1.0,
        (SOT_PREV, IS_PROMPT): 1.0,
        (TRANSCRIBE_TAG, TRANSCRIBE): 1.0,
        (FIRST_TIMESTAMP, COUNT): 1.0,
        (ASKED_WORD, COUNT): 1.0,
        (ASKED_WORD, WAS_ASKED): 1.0,
    }
    for i in range(len(EN)):
        entries[EN_WORDS + i, COUNT + i + 1] = entries[DE_WORDS + i, COUNT + i + 1] = 1.0
    weights = paired(VOCABULARY_SIZE, entries)
    weights[:, CONST], weights[:, CONST + PAIRS] = 1.0, -1.0
    return weights


def projection() -> np.ndarray:
    """Return how likely each token is after what the decoder holds, as logits."""
    entries: dict[tuple[int, int], float] = {
        (FIRST_TIMESTAMP, TRANSCRIBE): 2 * SURE,
        (ASKED_WORD, COUNT): SURE,
        (ASKED_WORD, PROMPT): 100 * SURE,
        (ASKED_WORD, WAS_ASKED): -400 * SURE,
    }
    for count in range(len(EN) + 1):
        if count:
            entries[ASKED_WORD, COUNT + count] = -400 * SURE
        entries[EOT, COUNT + count] = 2 * SURE + 300.0 * (count + 0.5)
        for first, sign in ((EN_WORDS, -1.0), (DE_WORDS, 1.0)):
            if count < len(EN):
                entries[first + count, COUNT + count] = 2 * SURE
                entries[first + count, AUDIO] = 300.0
                entries[first + count, LANGUAGE] = 200.0 * sign
    weights = paired(VOCABULARY_SIZE, entries)
    weights[:, CONST] -= SURE
    weights[:, CONST + PAIRS] += SURE
    return weights


def linear(spec: Any, weight: np.ndarray) -> None:
    spec.weight = weight
    spec.bias = np.zeros(len(weight), np.float32)


def layer_norm(spec: Any) -> None:
    spec.gamma, spec.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)


def attention(spec: Any, values: np.ndarray, *, own: bool) -> None:
    """Attend to everything alike, and add these values of its mean."""
    layer_norm(spec.layer_norm)
    zero = np.zeros((WIDTH, WIDTH), np.float32)
    if own:
        linear(spec.linear[0], np.concatenate([zero, zero, values]))
    else:
        linear(spec.linear[0], zero)
        linear(spec.linear[1], np.concatenate([zero, values]))
    linear(spec.linear[-1], np.eye(WIDTH, dtype=np.float32))


def feed_forward(spec: Any) -> None:
    layer_norm(spec.layer_norm)
    linear(spec.linear_0, np.zeros((WIDTH, WIDTH), np.float32))
    linear(spec.linear_1, np.zeros((WIDTH, WIDTH), np.float32))


def fill_encoder(encoder: Any) -> None:
    """One channel: how much louder low tones are than high ones, as in voiced speech."""
    tilt = np.zeros((WIDTH, MELS, 3), np.float32)
    tilt[AUDIO, 2:30, 1], tilt[AUDIO, 50:78, 1] = 2.0, -2.0
    through = np.zeros((WIDTH, WIDTH, 3), np.float32)
    through[AUDIO, AUDIO, 1] = 1.0
    for conv, weight in ((encoder.conv1, tilt), (encoder.conv2, through)):
        conv.weight, conv.bias = weight, np.zeros(WIDTH, np.float32)
    positions = np.zeros((1500, WIDTH), np.float32)
    positions[:, CONST], positions[:, CONST + PAIRS] = 30.0, -30.0
    encoder.position_encodings.encodings = positions
    attention(encoder.layer[0].self_attention, np.zeros((WIDTH, WIDTH), np.float32), own=True)
    feed_forward(encoder.layer[0].ffn)
    layer_norm(encoder.layer_norm)


def fill_decoder(decoder: Any) -> None:
    decoder.embeddings.weight = embeddings()
    decoder.position_encodings.encodings = np.zeros((448, WIDTH), np.float32)
    layer = decoder.layer[0]
    marks = {(LANGUAGE, IS_LANGUAGE): 1.0, (PROMPT, IS_PROMPT): 1.0}
    attention(layer.self_attention, moved(marks), own=True)
    heard = np.zeros((WIDTH, WIDTH), np.float32)
    heard[AUDIO, AUDIO], heard[AUDIO + PAIRS, AUDIO] = 15.0, -15.0
    attention(layer.attention, heard, own=False)
    feed_forward(layer.ffn)
    layer_norm(decoder.layer_norm)
    linear(decoder.projection, projection())


def make_tiny_whisper(folder: Path) -> Path:
    """Write the model as CTranslate2 wants it, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = whisper_spec.WhisperSpec(1, 1, 1, 1)
    fill_encoder(spec.encoder)
    fill_decoder(spec.decoder)
    tokens = vocabulary()
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.lang_ids = [EN_TAG, DE_TAG]
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    spec.save(str(folder))
    tokenizer = tokenizers.Tokenizer(
        models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": MELS}))
    return folder
