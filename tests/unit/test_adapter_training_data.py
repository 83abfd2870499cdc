"""What a training learns from: chosen by score, split by call, the same every time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ConfigError
from apps.rl.adapters.examples import Message, TrainingExample, write_examples
from apps.rl.adapters.training.config import DataConfig
from apps.rl.adapters.training.dataset import data_hash, kto_weights, load_data, mixed
from apps.rl.adapters.training.processors import Source, processor
from apps.rl.adapters.training.split import group_keys, hold_out


def turn(number: int, *calls: str, score: float = 1.0, question: str = "") -> TrainingExample:
    return TrainingExample(
        messages=(Message(role="user", content=question or f"question {number}"),),
        completion=f"answer {number}",
        feedback_score=score,
        calls=calls,
    )


calls = st.lists(st.sampled_from([f"call-{n}" for n in range(30)]), max_size=3)


@given(st.lists(calls, max_size=40), st.floats(0, 0.5), st.integers(0, 99))
def test_no_call_is_on_both_sides_and_nothing_is_lost(found, fraction, seed):
    turns = [turn(number, *some) for number, some in enumerate(found)]
    split = hold_out(turns, fraction, seed)
    learned = {call for example in split.train for call in example.calls}
    assert not learned & {call for example in split.held_out for call in example.calls}
    assert sorted(split.train + split.held_out, key=turns.index) == turns
    assert split == hold_out(turns, fraction, seed)
    if fraction > 0 and len(set(group_keys(turns))) > 1:
        assert split.train
        assert split.held_out


def test_a_call_stays_on_its_side_as_others_come():
    turns = [turn(number, f"call-{number // 3}") for number in range(90)]
    few, all_of_them = hold_out(turns[:60], 0.2, 0), hold_out(turns, 0.2, 0)
    assert set(few.held_out) <= set(all_of_them.held_out)
    assert 0.1 < len(all_of_them.held_out) / len(turns) < 0.3


def test_turns_of_no_call_are_kept_together_by_their_prompt():
    turns = [turn(number, question=f"question {number % 10}") for number in range(40)]
    split = hold_out(turns, 0.3, 0)
    prompts = {example.messages for example in split.train}
    assert not prompts & {example.messages for example in split.held_out}


def written(path, turns):
    write_examples(path, turns)
    return path


def test_only_good_answers_are_imitated(tmp_path):
    turns = [turn(n, f"call-{n}", score=score) for n, score in enumerate([1, 0.5, 0, -1, 0.2])]
    path = written(tmp_path / "turns.jsonl", turns)
    data = load_data(DataConfig(train=path, minimum_score=0.3, validation_fraction=0), "sft", 0)
    assert [example.feedback_score for example in data.train] == [1, 0.5]
    assert data.left_out == 3
    assert data.calls == ("call-0", "call-1")
    assert data.sha256 == data_hash(turns)


def test_kto_takes_clear_ratings_of_both_kinds(tmp_path):
    turns = [turn(n, f"call-{n}", score=score) for n, score in enumerate([1, 0.1, -0.1, -1])]
    path = written(tmp_path / "turns.jsonl", turns)
    data = load_data(DataConfig(train=path, validation_fraction=0), "kto", 0)
    assert [example.feedback_score for example in data.train] == [1, -1]
    good = written(tmp_path / "good.jsonl", turns[:2])
    with pytest.raises(ConfigError, match="good and bad ratings; all 1 here are good"):
        load_data(DataConfig(train=good, validation_fraction=0), "kto", 0)


def test_held_out_files_must_not_share_calls_with_the_trainings(tmp_path):
    train = written(tmp_path / "train.jsonl", [turn(1, "a"), turn(2, "b")])
    held = written(tmp_path / "held.jsonl", [turn(3, "b")])
    with pytest.raises(ConfigError, match="1 call is both"):
        load_data(DataConfig(train=train, validation=held), "sft", 0)


def test_the_same_turn_twice_is_learned_from_once(tmp_path):
    path = written(tmp_path / "turns.jsonl", [turn(1, "a"), turn(1, "a"), turn(2, "b")])
    data = load_data(DataConfig(train=path, validation_fraction=0), "sft", 0)
    assert len(data.train) == 2


def test_nothing_to_learn_from_says_where_to_look(tmp_path):
    path = written(tmp_path / "turns.jsonl", [turn(1, "a", score=-1)])
    with pytest.raises(ConfigError) as error:
        load_data(DataConfig(train=path), "sft", 0)
    assert "minimum_score" in error.value.hint


@pytest.mark.parametrize(
    ("wanted", "unwanted", "weights"), [(3, 1, (1, 3)), (1, 4, (4, 1)), (2, 2, (1, 1))]
)
def test_neither_kind_of_rating_drowns_the_other(wanted, unwanted, weights):
    turns = [turn(n) for n in range(wanted)] + [turn(n, score=-1) for n in range(unwanted)]
    assert kto_weights(turns) == weights


def test_the_mixed_order_is_drawn_by_the_seed_and_leaves_no_example_alone():
    assert mixed(range(9), 0, 4) == mixed(range(9), 0, 4) != mixed(range(9), 1, 4)
    assert len(mixed(range(9), 0, 4)) == 8
    assert sorted(mixed(range(10), 0, 4)) == list(range(10))
    assert mixed([1], 0, 4) == [1]


def test_processors_make_chats_of_knowledge(tmp_path):
    source = Source(text="On Monday.", questions=("When?", "Which day?"), title="Opening")
    asked = list(processor("questions")([source]))
    assert [example.messages[0].content for example in asked] == ["When?", "Which day?"]
    assert {example.completion for example in asked} == {"On Monday."}
    assert [e.messages[0].content for e in processor("passages")([source])] == ["Opening"]
    own = f"{__name__}:shouted"
    assert next(iter(processor(own)([source]))).completion == "ON MONDAY."
    path = tmp_path / "sources.jsonl"
    path.write_text(source.model_dump_json() + "\n\n")
    data = load_data(DataConfig(sources=path, validation_fraction=0), "sft", 0)
    assert len(data.train) == 2
    for wrong in ("no_such", "no.such:thing"):
        with pytest.raises(ConfigError, match=r"no.such"):
            processor(wrong)


def shouted(sources):
    for source in sources:
        yield turn(0).model_copy(update={"completion": source.text.upper()})


def test_a_line_that_is_no_source_is_named(tmp_path):
    path = tmp_path / "sources.jsonl"
    path.write_text('{"text": "fine"}\n{"txt": 1}\n')
    with pytest.raises(ConfigError, match="line 2: text"):
        load_data(DataConfig(sources=path), "sft", 0)
