"""Piper itself, on a tiny voice made here. Needs the ``piper`` extra and onnx: make test-piper."""

from __future__ import annotations

import json
import os
import signal
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="make test-piper installs it")
pytest.importorskip("piper", reason="make test-piper installs it")

from onnx import TensorProto, helper  # noqa: E402

from apps.core.audio import duration_ms, level_dbfs, pcm_to_samples  # noqa: E402
from apps.core.errors import EngineDied, EngineUnavailable  # noqa: E402
from apps.voice.tts.base import SpeechStyle, pcm_of  # noqa: E402
from apps.voice.tts.piper import PiperTts  # noqa: E402

RATE_HZ = 22_050
TONE_HZ = 200.0
SAMPLES_PER_PHONEME = 1000
VOICES = {"en": "tiny", "de": "absent"}


def hum() -> onnx.ModelProto:
    """Return a voice with Piper's inputs that hums, the longer the more phonemes it is given."""
    constants = {
        "per_phoneme": np.array(SAMPLES_PER_PHONEME, np.float32),
        "radians": np.array(2 * np.pi * TONE_HZ / RATE_HZ, np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "first": np.array(0, np.int64),
        "second": np.array(1, np.int64),
        "axes": np.array([0, 1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["input_lengths", "first"], ["count"]),
        helper.make_node("Cast", ["count"], ["phonemes"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["scales", "second"], ["length_scale"]),
        helper.make_node("Mul", ["phonemes", "length_scale"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "per_phoneme"], ["samples"]),
        helper.make_node("Range", ["zero", "samples", "one"], ["moments"]),
        helper.make_node("Mul", ["moments", "radians"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["tone"]),
        helper.make_node("Unsqueeze", ["tone", "axes"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "hum",
        [
            helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "samples"])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])


def config() -> dict[str, object]:
    """Return the JSON that lies beside a voice; every phoneme is the same to this one."""
    phonemes = [chr(code) for code in range(32, 880)]
    return {
        "audio": {"sample_rate": RATE_HZ},
        "espeak": {"voice": "en-us"},
        "phoneme_type": "espeak",
        "num_symbols": 8,
        "num_speakers": 1,
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_id_map": {phoneme: [4] for phoneme in phonemes} | {"_": [0], "^": [1], "$": [2]},
    }


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "piper"
    folder.mkdir()
    onnx.save(hum(), str(folder / "tiny.onnx"))
    (folder / "tiny.onnx.json").write_text(json.dumps(config()))
    return tmp_path


async def said(engine: PiperTts, text: str, style: SpeechStyle) -> bytes:
    return await pcm_of(engine.synthesise(text, style))


async def test_piper_speaks_with_a_voice_from_a_file_at_the_styles_rate(models_dir: Path) -> None:
    engine = PiperTts(models_dir, VOICES)
    assert engine.languages == {"en"}
    await engine.start()
    try:
        assert engine.infos[0].version.startswith("1.")
        normal = await said(engine, "Good morning.", SpeechStyle("en"))
        fast = await said(engine, "Good morning.", SpeechStyle("en", rate=2.0))
        longer = await said(engine, "Good morning to you and to all.", SpeechStyle("en"))
    finally:
        await engine.close()
    assert duration_ms(normal) > 500
    assert abs(duration_ms(fast) / duration_ms(normal) - 0.5) < 0.05
    assert duration_ms(longer) > 1.5 * duration_ms(normal)
    assert abs(level_dbfs(normal) + 20) < 2
    spectrum = np.abs(np.fft.rfft(pcm_to_samples(normal).astype(float)))
    assert abs(np.argmax(spectrum) / duration_ms(normal) * 1000 - TONE_HZ) < 5


async def test_killing_piper_mid_sentence_is_told_and_the_next_sentence_is_spoken(
    models_dir: Path,
) -> None:
    engine = PiperTts(models_dir, VOICES)
    await engine.start()
    try:
        text = "one two three four five six seven eight nine ten " * 30
        async with aclosing(engine.synthesise(text, SpeechStyle("en", rate=0.5))) as chunks:
            await anext(chunks)
            os.kill(engine.infos[0].pid, signal.SIGKILL)
            with pytest.raises(EngineDied):
                async for _ in chunks:
                    pass
        assert await said(engine, "I am back.", SpeechStyle("en"))
    finally:
        await engine.close()


async def test_a_broken_voice_is_named_at_the_start(models_dir: Path) -> None:
    (models_dir / "piper" / "tiny.onnx").write_bytes(b"no model")
    with pytest.raises(EngineUnavailable, match="tiny") as caught:
        await PiperTts(models_dir, VOICES).start()
    assert "tom models pull" in caught.value.hint
