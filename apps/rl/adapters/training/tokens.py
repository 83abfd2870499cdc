"""An example as tokens: the prompt is read, and only the answer is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from apps.core.errors import ConfigError
from apps.rl.adapters.examples import TrainingExample

IGNORED = -100
"""The label of a token that counts for no loss, as PyTorch's cross entropy has it."""


class ChatTokenizer(Protocol):
    """As much of a transformers tokenizer as is needed here."""

    eos_token_id: int | None
    eos_token: str | None

    def apply_chat_template(self, conversation: Any, /, **options: Any) -> Any:
        """Render a conversation."""
        ...

    def __call__(self, text: str, /, **options: Any) -> Any:
        """Tokenise a text."""
        ...


@dataclass(frozen=True)
class Tokens:
    """One example.

    Attributes:
        input_ids: Prompt and answer, with the end of the turn.
        labels: The same with ``IGNORED`` at every token of the prompt.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]


def tokenise(example: TrainingExample, tokenizer: ChatTokenizer) -> Tokens:
    """Return an example's tokens, rendered by the tokenizer's own chat template.

    The answer's labels include what ends its turn, so that the model learns to stop. The prompt
    and the rest are tokenised apart, as they are when the server answers: no token spans both.

    Raises:
        ConfigError: The template renders the prompt in another way once it is answered.
    """
    prompt, rest = render(example, tokenizer)
    before = _ids(tokenizer, prompt)
    after = _ids(tokenizer, rest)
    return Tokens((*before, *after), (*(IGNORED for _ in before), *after))


def render(example: TrainingExample, tokenizer: ChatTokenizer) -> tuple[str, str]:
    """Return the prompt's text up to where the answer begins, and the answer's with its end.

    Raises:
        ConfigError: The template renders the prompt in another way once it is answered.
    """
    chat = [message.model_dump() for message in example.messages]
    answer = {"role": "assistant", "content": example.completion}
    prompt: str = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    whole: str = tokenizer.apply_chat_template([*chat, answer], tokenize=False)
    if not whole.startswith(prompt):
        raise ConfigError(
            "The chat template renders a prompt in another way once it is answered.",
            hint="Give base.chat_template a template whose generation prompt begins the answer.",
        )
    rest = whole[len(prompt) :]
    end = tokenizer.eos_token or ""
    return prompt, rest if end and end in rest else rest + end


def fitting(all_tokens: Sequence[Tokens], max_length: int) -> list[Tokens]:
    """Return those that are not too long; cutting one would teach it to stop in mid-sentence."""
    return [tokens for tokens in all_tokens if len(tokens.input_ids) <= max_length]


def _ids(tokenizer: ChatTokenizer, text: str) -> list[int]:
    # The template has written the special tokens already.
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


@dataclass(frozen=True)
class Pad:
    """Which token fills up a batch.

    Attributes:
        token: Its text.
        why: A few words on the choice, for the log.
    """

    token: str
    why: str


def safe_pad(pad: str | None, eos: str | None, unknown: str | None, reserved: Sequence[str]) -> Pad:
    """Choose a pad token that is never learned as content.

    A pad that equals the end of the turn is the usual trap: whoever masks all pads also masks the
    end, and the model never learns to stop. Here labels are masked by position, so it would do no
    harm in this training; but libraries and later trainings mask by value.

    Args:
        pad: The tokenizer's own, if any.
        eos: Its end of sequence.
        unknown: Its token for what it does not know.
        reserved: Special tokens of the vocabulary that no text and no template has.

    Raises:
        ConfigError: There is none that would be safe. A new token is never added: the base's
            embeddings would have to grow, and no server would load the adapter.
    """
    if pad is not None and pad != eos:
        return Pad(pad, "the tokenizer's own")
    if reserved:
        return Pad(reserved[0], "a reserved token, since the tokenizer's own is the end of a turn")
    if unknown is not None and unknown != eos:
        return Pad(unknown, "the unknown token, since the tokenizer has no pad of its own")
    raise ConfigError(
        "The tokenizer has no token that could fill up a batch without being content.",
        hint="Set pad_token in the base's tokenizer_config.json to a token that no text has.",
    )


def reserved_tokens(
    special: Sequence[str], in_use: Sequence[str | None], template: str
) -> list[str]:
    """Return the special tokens that are named as pads or reserves and used for nothing.

    Args:
        special: All special tokens of the vocabulary, in its order.
        in_use: Those with a role (begin, end, unknown, ...).
        template: The chat template.
    """
    names = ("pad", "reserved", "unused", "extra_id", "fill")
    return [
        token
        for token in special
        if token not in in_use
        and token not in template
        and any(name in token.lower() for name in names)
    ]
