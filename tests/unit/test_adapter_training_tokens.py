"""Only the answer is learned, with its end; and no content is taken for filling."""

from __future__ import annotations

import pytest

from apps.core.errors import ConfigError
from apps.rl.adapters.examples import Message, TrainingExample
from apps.rl.adapters.training.tokens import (
    IGNORED,
    fitting,
    reserved_tokens,
    safe_pad,
    tokenise,
)


class Characters:
    """A tokenizer whose tokens are characters; its template marks each turn."""

    eos_token = "$"
    eos_token_id = ord("$")

    def __init__(self, *, ends: bool = True, restless: bool = False) -> None:
        self.ends = ends
        self.restless = restless

    def apply_chat_template(self, chat, *, tokenize, add_generation_prompt=False):
        assert not tokenize
        text = "".join(
            f"[{m['role'][0]}]{m['content']}"
            + ("$" if self.ends and m["role"] == "assistant" else "")
            for m in chat
        )
        if self.restless:
            text = f"{len(chat)}{text}"
        return text + ("[a]" if add_generation_prompt else "")

    def __call__(self, text, *, add_special_tokens):
        assert not add_special_tokens
        return {"input_ids": [ord(character) for character in text]}


TURN = TrainingExample(
    messages=(Message(role="system", content="be kind"), Message(role="user", content="when")),
    completion="now",
)


def learned(tokens) -> str:
    return "".join(chr(label) for label in tokens.labels if label != IGNORED)


def test_the_prompt_is_read_and_only_the_answer_is_learned():
    tokens = tokenise(TURN, Characters())
    assert "".join(map(chr, tokens.input_ids)) == "[s]be kind[u]when[a]now$"
    assert learned(tokens) == "now$"
    assert len(tokens.labels) == len(tokens.input_ids)


def test_an_answers_end_is_learned_even_where_the_template_writes_none():
    assert learned(tokenise(TURN, Characters(ends=False))) == "now$"


def test_an_earlier_answer_in_the_prompt_is_not_learned():
    earlier = TURN.model_copy(
        update={"messages": (Message(role="assistant", content="hello"), *TURN.messages)}
    )
    assert learned(tokenise(earlier, Characters())) == "now$"


def test_a_template_that_renders_an_answered_prompt_anew_is_refused():
    with pytest.raises(ConfigError, match="another way"):
        tokenise(TURN, Characters(restless=True))


def test_what_is_too_long_is_left_out_instead_of_cut():
    short = tokenise(TURN, Characters())
    long = tokenise(TURN.model_copy(update={"completion": "x" * 99}), Characters())
    assert fitting([short, long], 30) == [short]


def test_a_pad_token_is_never_the_end_of_a_turn():
    assert safe_pad("<pad>", "</s>", "<unk>", []).token == "<pad>"
    assert safe_pad("</s>", "</s>", "<unk>", ["<|reserved_0|>"]).token == "<|reserved_0|>"
    assert safe_pad(None, "</s>", "<unk>", []).token == "<unk>"
    with pytest.raises(ConfigError, match="without being content"):
        safe_pad("</s>", "</s>", None, [])
    with pytest.raises(ConfigError, match="without being content"):
        safe_pad(None, "</s>", "</s>", [])


def test_reserved_tokens_are_those_that_neither_text_nor_template_uses():
    special = ["<s>", "<|reserved_0|>", "<|reserved_used|>", "<|im_start|>", "<pad>"]
    found = reserved_tokens(special, ["<s>", None], "{{ '<|im_start|>' }}<|reserved_used|>")
    assert found == ["<|reserved_0|>", "<pad>"]
