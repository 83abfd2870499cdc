"""Makes a Llama of under a million weights and teaches it some English. Run where torch is.

    python tests/vllm/tiny_llama.py CHATS.jsonl FOLDER [--steps 300]

The chats are lines of apps.rl.adapters.examples. The folder gets what a downloaded model's folder
has: weights, configuration, tokenizer and chat template. The loss is that of every token, the
prompt's too, as in any pretraining. The same chats give the same weights, however long it takes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = 2048
CONTEXT = 2048
NOTHING = -100  # no token; the loss passes over it
BATCH = 4
PEAK_RATE = 3e-3
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def chats(path: Path) -> list[list[dict[str, str]]]:
    """Read the examples as whole chats."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        example = json.loads(line)
        answer = {"role": "assistant", "content": example["completion"]}
        found.append([*example["messages"], answer])
    return found


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Train byte-level pairs: every text can be written, and German letters cost no unknowns."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=WORDS,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        chat_template=TEMPLATE,
        model_max_length=CONTEXT,
    )


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return a Llama with random weights."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )


def pretrain(model: LlamaForCausalLM, read: list[torch.Tensor], steps: int) -> dict[str, float]:
    """Train on whole chats, a few at a time; returns what came of it."""
    dice = torch.Generator().manual_seed(7)
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    warm_up, fade = 20, 0.7 * steps
    began, loss = time.monotonic(), math.nan
    model.train()
    for step in range(1, steps + 1):
        rate = PEAK_RATE * min(1.0, step / warm_up, 0.02 + (steps - step) / fade)
        for group in optimiser.param_groups:
            group["lr"] = rate
        chosen = torch.randint(len(read), (BATCH,), generator=dice)
        batch = pad_sequence([read[i] for i in chosen], batch_first=True, padding_value=NOTHING)
        known = batch != NOTHING
        step_loss = model(
            input_ids=batch.where(known, 0), attention_mask=known.long(), labels=batch
        ).loss
        step_loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        seen = step_loss.item()
        loss = seen if math.isnan(loss) else 0.95 * loss + 0.05 * seen
        if step % 40 == 0:
            spent = time.monotonic() - began
            print(f"step {step}/{steps}, {spent:.0f} s, loss {loss:.2f}", flush=True)  # noqa: T201
    return {"steps": steps, "seconds": round(time.monotonic() - began), "loss": round(loss, 3)}


def main() -> None:
    """Make the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chats", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    torch.manual_seed(7)
    torch.set_num_threads(1)  # two wait for each other on a busy machine
    read = chats(args.chats)
    tokenizer = train_tokenizer([message["content"] for chat in read for message in chat])
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in read]
    tokens = [torch.tensor(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    model = new_model(tokenizer)
    made = pretrain(model, tokens, args.steps)
    model.save_pretrained(args.folder)
    tokenizer.save_pretrained(args.folder)
    made |= {
        "parameters": model.num_parameters(),
        "tokens": sum(map(len, tokens)),
        "chats": len(read),
    }
    (args.folder / "made.json").write_text(json.dumps(made))
    print(json.dumps(made), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
