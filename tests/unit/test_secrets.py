"""The installation's secrets: made once, kept private, the same for everybody who starts."""

import json
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from apps.core.errors import ConfigError
from apps.core.secrets import FILE_NAME, load_or_create, recording_key


def test_the_first_start_makes_secrets_and_the_next_one_finds_them(tmp_path):
    first = load_or_create(tmp_path / "data")
    again = load_or_create(tmp_path / "data")
    assert first == again
    assert len(first.hash_key) >= 32
    assert len(first.operator_token) >= 32


def test_two_installations_have_different_secrets(tmp_path):
    one, other = load_or_create(tmp_path / "one"), load_or_create(tmp_path / "other")
    assert one.hash_key != other.hash_key
    assert one.operator_token != other.operator_token


def test_nobody_else_can_read_the_file_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        load_or_create(tmp_path / "data")
    finally:
        os.umask(before)
    assert (tmp_path / "data" / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_nothing_else_is_left_beside_the_file(tmp_path):
    load_or_create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_what_the_settings_give_wins_and_needs_no_file(tmp_path):
    given = load_or_create(tmp_path / "data", "k" * 16, "t" * 16)
    assert given.hash_key == b"k" * 16
    assert given.operator_token == "t" * 16
    assert not (tmp_path / "data").exists()


def test_one_given_secret_leaves_the_other_to_the_file(tmp_path):
    kept = load_or_create(tmp_path)
    mixed = load_or_create(tmp_path, operator_token="t" * 16)
    assert mixed.hash_key == kept.hash_key
    assert mixed.operator_token == "t" * 16


def test_moving_the_made_key_into_the_settings_keeps_the_same_key(tmp_path):
    kept = load_or_create(tmp_path)
    text = json.loads((tmp_path / FILE_NAME).read_text())["hash_key"]
    assert load_or_create(tmp_path / "elsewhere", hash_key=text).hash_key == kept.hash_key


def test_a_guessable_secret_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="TOM_HASH_KEY"):
        load_or_create(tmp_path, hash_key="short")
    with pytest.raises(ConfigError, match="TOM_OPERATOR_TOKEN"):
        load_or_create(tmp_path, operator_token="short")


def test_secrets_that_others_may_read_are_refused(tmp_path):
    load_or_create(tmp_path)
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(ConfigError) as error:
        load_or_create(tmp_path)
    assert "chmod 600" in error.value.hint


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"hash_key": "0123456789abcdef"}', '{"hash_key": 1}', "\ud800"],
)
def test_a_damaged_file_is_refused_and_not_replaced(tmp_path, content):
    path = tmp_path / FILE_NAME
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="damaged"):
        load_or_create(tmp_path)
    assert path.read_bytes() == before


def test_a_data_directory_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "data").write_text("a file where a folder belongs")
    with pytest.raises(ConfigError, match=FILE_NAME):
        load_or_create(tmp_path / "data")


def test_the_secrets_do_not_show_in_a_repr(tmp_path):
    made = load_or_create(tmp_path)
    assert made.operator_token not in repr(made)
    assert made.hash_key.decode() not in repr(made)


def test_threads_that_start_at_once_agree(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: load_or_create(tmp_path / "data"), range(32)))
    assert len({(one.hash_key, one.operator_token) for one in made}) == 1


def _start(data_dir: Path, gate, results) -> None:
    gate.wait()
    results.put(load_or_create(data_dir).hash_key)


def test_processes_that_start_at_once_agree(tmp_path):
    context = multiprocessing.get_context("spawn")
    gate, results = context.Barrier(2), context.Queue()
    starters = [
        context.Process(target=_start, args=(tmp_path / "data", gate, results)) for _ in range(2)
    ]
    for starter in starters:
        starter.start()
    keys = {results.get(timeout=20) for _ in starters}
    for starter in starters:
        starter.join()
    assert len(keys) == 1


def test_the_recordings_key_is_added_to_an_older_file_and_stays(tmp_path):
    before = load_or_create(tmp_path)
    key = recording_key(tmp_path)
    assert len(key) == 64
    assert recording_key(tmp_path) == key
    assert load_or_create(tmp_path) == before
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_whoever_needs_the_recordings_key_first_makes_it_for_all(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: recording_key(tmp_path), range(16)))
    assert len(keys) == 1


def test_a_recordings_key_that_is_given_needs_no_file(tmp_path):
    assert recording_key(tmp_path / "data", "r" * 16) == "r" * 16
    assert not (tmp_path / "data").exists()
    with pytest.raises(ConfigError, match="TOM_RECORDING_KEY"):
        recording_key(tmp_path, "short")
