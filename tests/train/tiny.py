"""A base model of some 100,000 parameters, made on the spot, and examples for it."""

from __future__ import annotations

import random
from pathlib import Path

from apps.rl.adapters.examples import Message, TrainingExample, write_examples

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

OFFICES = ("registry", "library", "pool", "archive", "market", "museum")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


def make_base(
    folder: Path,
    *,
    seed: int = 0,
    hidden: int = 64,
    layers: int = 2,
    heads: int = 4,
    vocabulary: int = 0,
    dtype: str = "float32",
) -> Path:
    """Write a Llama with random weights and a tokenizer of word pieces; returns the folder.

    Args:
        folder: Where to.
        seed: Of the weights.
        hidden: Width.
        layers: Depth.
        heads: Of the attention; half as many for keys and values.
        vocabulary: Rows of the embedding; at least as many as the tokenizer has tokens.
        dtype: The weights' precision.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<unk>", "<s>", "</s>", "<|reserved_0|>", "<|system|>", "<|user|>", "<|assistant|>"]
    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    text = [f"{e.messages[-1].content} {e.completion}" for e in examples(200, seed=1)]
    raw.train_from_iterator(
        text,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=max(len(tokenizer), vocabulary),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads // 2,
            max_position_embeddings=2048,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def examples(count: int, *, seed: int = 0, bad: float = 0.0) -> list[TrainingExample]:
    """Return rated turns about opening hours; a share of them is wrong, and rated so."""
    drawn = random.Random(seed)
    found = []
    for number in range(count):
        office, day = drawn.choice(OFFICES), drawn.choice(DAYS)
        wrong = drawn.random() < bad
        answer = "i do not know" if wrong else f"the {office} is open on {day} until {5 + len(day)}"
        found.append(
            TrainingExample(
                messages=(
                    Message(role="system", content="you answer callers"),
                    Message(role="user", content=f"when is the {office} open on {day}"),
                ),
                completion=answer,
                feedback_score=-1.0 if wrong else 1.0,
                calls=(f"call-{number // 2}",),
            )
        )
    return found


def write(path: Path, count: int = 60, *, seed: int = 0, bad: float = 0.0) -> Path:
    """Write such turns as JSONL; returns the path."""
    write_examples(path, examples(count, seed=seed, bad=bad))
    return path
