"""Word errors behind a G.711 telephone on the bad network, beside the clean one.

    python -m benchmarks.network.words --set tuning --every 3

Utterances and their score are those of `benchmarks.recognition`; each goes over RTP with PCMU,
over a good network and over a bad one, and what arrives is recognised. Needs flite.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from apps.core.audio import pcm_to_samples, samples_to_pcm
from apps.core.resources import resource
from apps.knowledge.retriever import Retriever
from apps.voice.stt.sphinx import PocketSphinx
from benchmarks.network.rtp_path import Stretch, carry
from benchmarks.network.trouble import BAD, GOOD, Network
from benchmarks.recognition.__main__ import (
    BANDS,
    PROFILE,
    VOICES,
    Spoken,
    corpus,
    read_utterances,
    recognise,
    say,
)
from benchmarks.recognition.measure import Result, figures

TARGET = 0.05
NETWORKS = {"clean": GOOD, "bad": BAD}


def over_rtp(spoken: Spoken, network: Network, codec: str, seed: int) -> Spoken:
    """Return an utterance as it arrives over RTP."""
    pcm = carry(samples_to_pcm(spoken.samples), codec, (Stretch(0, network),), seed).pcm
    return replace(spoken, samples=pcm_to_samples(pcm))


def utterances(options: argparse.Namespace) -> Iterator[Spoken]:
    """Yield a set's utterances as a telephone line delivers them."""
    return (spoken for spoken in say(options.set, options.every) if spoken.band == BANDS[1])


async def measure(options: argparse.Namespace, cache: Path) -> dict[str, list[Result]]:
    """Recognise every utterance over each network."""
    retriever = Retriever.from_folder(resource("knowledge"))
    held_out = tuple(text for name in VOICES for _, text, _ in read_utterances(name))
    text = corpus(retriever, held_out)
    retriever.close()
    said = list(utterances(options))
    sounds = {
        name: [over_rtp(s, network, options.codec, options.seed + i) for i, s in enumerate(said)]
        for name, network in NETWORKS.items()
    }
    engine = PocketSphinx({PROFILE: text}, cache_dir=cache, workers=options.workers)
    await engine.start()
    gate = asyncio.Semaphore(options.workers)

    async def one(spoken: Spoken) -> Result:
        async with gate:
            return await recognise(engine, spoken, paced=False)

    try:
        results = {}
        for name, arrived in sounds.items():
            results[name] = list(await asyncio.gather(*map(one, arrived)))
        return results
    finally:
        await engine.close()


def main() -> int:
    """Run the benchmark; return 0 when the bad network costs no more than it may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network.words")
    parser.add_argument("--set", choices=sorted(VOICES), default="test")
    parser.add_argument("--every", type=int, default=1, help="take every n-th utterance")
    parser.add_argument("--codec", default="PCMU")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="keep the models here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(measure(options, options.cache or Path(folder)))
    rates = {name: figures(some).word_error_rate for name, some in results.items()}
    for name, rate in rates.items():
        print(f"{name:6} {rate:6.1%} of words wrong, {len(results[name])} utterances")
    added = rates["bad"] - rates["clean"]
    print(f"The bad network adds {added * 100:+.1f} points; {TARGET * 100:.0f} may be.")
    return 0 if added <= TARGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
