"""The recognition benchmark: ``python -m benchmarks.recognition``; see docs/recognition.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from apps.core.audio import FRAME_BYTES, FRAME_MS, SAMPLE_RATE_HZ, Samples, samples_to_pcm
from apps.core.resources import resource
from apps.knowledge.retriever import Retriever
from apps.voice.stt.base import ListenOptions, Transcript
from apps.voice.stt.domain import DomainText, domain_sentences
from apps.voice.stt.sphinx import PocketSphinx
from benchmarks.recognition.measure import Result, collisions, figures
from benchmarks.recognition.speech import FliteMissing, flite, telephone

PROFILE = "kfz"
VOICES = {"fresh": ("slt", "rms"), "test": ("slt", "rms"), "tuning": ("awb", "kal16")}
BANDS = ("16 kHz", "8 kHz")
TARGETS = {"16 kHz": 0.10, "8 kHz": 0.20}
RIGHT_ENTRY_TARGET = 0.90
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Spoken:
    """One caller utterance to be recognised."""

    id: str
    text: str
    entries: tuple[str, ...]
    voice: str
    band: str
    samples: Samples


def read_utterances(name: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return id, text and right entries of a set's utterances."""
    lines = (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(row["id"], row["text"], tuple(row["entries"])) for row in rows]


def say(name: str, every: int) -> Iterator[Spoken]:
    """Yield a set's utterances in each of its voices and both bands."""
    utterances = read_utterances(name)[::every]
    for voice in VOICES[name]:
        with ThreadPoolExecutor(2) as pool:
            speech = pool.map(lambda row: flite(row[1], voice), utterances)  # noqa: B023
            for (number, text, entries), samples in zip(utterances, speech, strict=True):
                yield Spoken(number, text, entries, voice, BANDS[0], samples)
                yield Spoken(number, text, entries, voice, BANDS[1], telephone(samples))


def corpus(retriever: Retriever, held_out: tuple[str, ...]) -> DomainText:
    """Return the language model's text, less the sentences that are measured."""
    knowledge = retriever.corpus(PROFILE, "en")
    asked = (*knowledge.questions, *knowledge.variants)
    return DomainText(asked, tuple(knowledge.sentences), held_out=held_out)


def check_collisions(text: DomainText, held_out: tuple[str, ...]) -> None:
    """Report what stands in the knowledge base word for word.

    Raises:
        SystemExit: A measured sentence is in the language model's text.
    """
    same = collisions(held_out, (*text.asked, *text.answered))
    print(f"{len(same)} of {len(held_out)} measured sentences stand in the knowledge base.")
    in_model = collisions(held_out, (" ".join(words) for words, _ in domain_sentences(text)))
    if same or in_model:
        raise SystemExit("Measured sentences in the model's text:\n" + "\n".join(same or in_model))


async def recognise(engine: PocketSphinx, spoken: Spoken, *, paced: bool) -> Result:
    """Recognise one utterance through the engine, in real time or as fast as it takes audio."""
    pcm = samples_to_pcm(spoken.samples)
    partials: list[Transcript] = []
    utterance = engine.listen(ListenOptions("en", PROFILE), partials.append if paced else None)
    started = time.perf_counter()
    for at in range(0, len(pcm), FRAME_BYTES):
        if paced:
            due = started + (at // FRAME_BYTES) * FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        utterance.feed(pcm[at : at + FRAME_BYTES])
    ended = time.perf_counter()
    transcript = await utterance.finish()
    done = time.perf_counter()
    return Result(
        reference=spoken.text,
        heard=transcript.text,
        voice=spoken.voice,
        band=spoken.band,
        audio_s=len(spoken.samples) / SAMPLE_RATE_HZ,
        decode_s=done - started,
        model=transcript.model,
        paced_latency_ms=(done - ended) * 1000 if paced else None,
    )


async def measure(options: argparse.Namespace, cache: Path) -> list[tuple[Spoken, Result]]:
    """Recognise everything: the most as fast as it goes, some in real time for the latency."""
    retriever = Retriever.from_folder(resource("knowledge"))
    held_out = tuple(text for name in VOICES for _, text, _ in read_utterances(name))
    text = corpus(retriever, held_out)
    check_collisions(text, held_out)
    engine = PocketSphinx({PROFILE: text}, cache_dir=cache, workers=options.workers)
    await engine.start()
    try:
        spoken = list(say(options.set, options.every))
        gate = asyncio.Semaphore(options.workers)

        async def one(utterance: Spoken) -> Result:
            async with gate:
                return await recognise(engine, utterance, paced=False)

        fast = await asyncio.gather(*map(one, spoken))
        sample = spoken[:: options.pace_every] if options.pace_every else []
        paced = [(s, await recognise(engine, s, paced=True)) for s in sample]
        results = [*zip(spoken, fast, strict=True), *paced]
        return [(s, await judged(retriever, s, result)) for s, result in results]
    finally:
        await engine.close()
        retriever.close()


async def judged(retriever: Retriever, spoken: Spoken, result: Result) -> Result:
    """Return a result with whether its text finds a right entry."""
    found = await retriever.search(result.heard, language="en", profile=PROFILE, k=5)
    right = bool(found) and found[0].entry_id in spoken.entries
    return Result(**{**asdict(result), "right_entry": right})


def report(results: list[Result]) -> bool:
    """Print the figures by voice and band; return whether the targets are met."""
    print(f"{'':14}{'utts':>5}{'WER':>8}{'exact':>8}{'entry':>8}{'RTF':>7}")
    fast = [r for r in results if r.paced_latency_ms is None]
    paced = [r for r in results if r.paced_latency_ms is not None]
    met = True
    for band in BANDS:
        for voice in (*dict.fromkeys(r.voice for r in fast), ""):
            some = figures([r for r in fast if r.band == band and voice in ("", r.voice)])
            print(
                f"{band:7}{voice or 'all':7}{some.utterances:5}{some.word_error_rate:8.1%}"
                f"{some.right_sentences:8.1%}{some.right_entries or 0:8.1%}"
                f"{some.real_time_factor:7.2f}"
            )
        met &= some.word_error_rate <= TARGETS[band]
        met &= (some.right_entries or 0.0) >= RIGHT_ENTRY_TARGET
    if paced:
        live = figures(paced)
        print(
            f"Transcript after the last audio, in real time, {live.utterances} utterances: "
            f"median {live.median_latency_ms:.0f} ms, worst {live.worst_latency_ms:.0f} ms"
        )
    return met


def main() -> int:
    """Run the benchmark; return 0 when every target is met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recognition", description=__doc__)
    parser.add_argument("--set", choices=sorted(VOICES), default="test")
    parser.add_argument("--every", type=int, default=1, help="take every n-th utterance")
    parser.add_argument("--pace-every", type=int, default=24, help="every n-th in real time; 0: no")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="keep the models here")
    parser.add_argument("--errors", action="store_true", help="show errors (tuning set alone)")
    options = parser.parse_args()
    if options.errors and options.set != "tuning":
        parser.error("the errors of what is measured are not looked at; use --set tuning")
    try:
        with tempfile.TemporaryDirectory() as folder:
            results = asyncio.run(measure(options, options.cache or Path(folder)))
    except FliteMissing as error:
        print(error, file=sys.stderr)
        return 2
    if options.errors:
        for spoken, result in results:
            if result.heard != spoken.text or not result.right_entry:
                mark = " " if result.right_entry else "!"
                print(f"{mark} {spoken.id} {spoken.voice} {spoken.band} {result.model}")
                print(f"    {spoken.text}\n    {result.heard}")
    return 0 if report([result for _, result in results]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
