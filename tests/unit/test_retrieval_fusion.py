"""Rankings are fused by reciprocal rank, whatever their scores were."""

from hypothesis import given
from hypothesis import strategies as st

from apps.core.passages import Citation, Passage
from apps.knowledge.retrieval.closeness import asked, passage_terms
from apps.knowledge.retrieval.fusion import fuse
from apps.knowledge.retrieval.merge import gives_way, merge

rankings = st.lists(st.lists(st.integers(0, 30), unique=True, max_size=20), max_size=4)


def test_what_both_halves_found_goes_before_what_one_of_them_found_best():
    assert [key for key, _ in fuse([["a", "b"], ["c", "b"]])] == ["b", "a", "c"]


def test_a_score_is_the_sum_of_the_reciprocal_ranks():
    assert dict(fuse([["a", "b"], ["b"]]))["b"] == 1 / 62 + 1 / 61


@given(rankings)
def test_everything_that_was_found_is_there_once_and_in_falling_order(found):
    fused = fuse(found)
    assert {key for key, _ in fused} == {key for ranking in found for key in ranking}
    scores = [score for _, score in fused]
    assert scores == sorted(scores, reverse=True)
    assert len({key for key, _ in fused}) == len(fused)


@given(rankings.filter(lambda found: len(found) == 2))
def test_the_order_of_the_rankings_changes_no_score(found):
    assert dict(fuse(found)) == dict(fuse(found[::-1]))


@given(st.lists(st.integers(), unique=True, min_size=1, max_size=30))
def test_one_ranking_stays_as_it_is(found):
    assert [key for key, _ in fuse([found])] == found


@given(rankings, st.integers(0, 30))
def test_being_found_once_more_never_harms(found, key):
    before = dict(fuse(found)).get(key, 0.0)
    assert dict(fuse([*found, [key]]))[key] > before


def entry(name, score):
    return Passage(name, name, name, score, "en", name)


def piece(name, score):
    cited = Citation(name, name, document_id=name)
    return Passage(name, name, name, score, "en", name, cited)


def names(passages):
    return [passage.entry_id for passage in passages]


def test_an_entry_that_covers_the_question_leads_and_a_covering_document_follows():
    found = merge([entry("e", 0.6), entry("f", 0.55)], [], [piece("d", 0.9)], 3)
    assert names(found) == ["e", "d", "f"]


def test_a_document_answers_what_no_entry_covers():
    found = merge([entry("e", 0.4)], [], [piece("d", 0.6), piece("x", 0.2)], 3)
    assert names(found) == ["d", "e", "x"]


def test_an_approved_answer_to_an_objection_leads_where_it_fits_as_well():
    assert names(merge([entry("e", 0.8)], [entry("i", 0.8)], [], 2)) == ["i", "e"]
    assert names(merge([entry("e", 0.8)], [entry("i", 0.7)], [], 2)) == ["e", "i"]


def test_nothing_that_does_not_cover_goes_before_what_does():
    found = merge([entry("e", 0.49)], [entry("i", 0.1)], [piece("d", 0.5)], 5)
    assert names(found)[0] == "d"


def test_an_entry_gives_way_to_a_document_that_alone_has_what_is_asked_about():
    question = asked("when is the library open on saturday", "en")
    office = passage_terms("The office is open on Saturday.", ("Saturday",), "hours", "en")
    library = passage_terms("The library is open on Saturday.", ("Hours",), "Library", "en")
    assert gives_way(question, office, library)
    assert not gives_way(question, library, office)
    entries, documents = [entry("e", 0.9)], [piece("d", 0.6)]
    assert names(merge(entries, [], documents, 2, yields=True)) == ["d", "e"]


scores = st.floats(0, 1, allow_nan=False)
lists = st.lists(scores, max_size=6)


@given(lists, lists, lists, st.integers(1, 8))
def test_the_first_passage_covers_whenever_any_does(of_entries, of_insights, of_documents, k):
    found = merge(
        [entry(f"e{i}", s) for i, s in enumerate(of_entries)],
        [entry(f"i{i}", s) for i, s in enumerate(of_insights)],
        [piece(f"d{i}", s) for i, s in enumerate(of_documents)],
        k,
    )
    every = [*of_entries, *of_insights, *of_documents]
    assert len(found) == min(k, len(every))
    assert not every or (found[0].score >= 0.5) == (max(every) >= 0.5)
