"""What a visitor types first must get a sensible score, and so must what stands there while it is typed."""

import csv
import json
import re
from pathlib import Path
from string import ascii_letters, ascii_lowercase, digits

import numpy as np
import pytest

from charcnn import Score, Scorer

DATA = Path(__file__).parent.parent / "data"
LEET = str.maketrans("AEIOSTaeiost", "431057431057")

GOOD = [
    "I love their coffee!",
    "not bad at all",
    "Great service, friendly staff.",
    "Absolutely wonderful, thank you!",
    "Best pizza in town",
    "Fast delivery and everything was perfect",
    "Highly recommended",
    "Excellent!!!",
    "I will definitely come back",
    "Five stars from me",
    "AMAZING EXPERIENCE",
    "very happy with my purchase",
    "Super friendly and helpful team",
    "Couldn't be happier",
    "The room was clean and the view was beautiful.",
    "good quality for the price",
    "They solved my problem within minutes, great support",
    "love it love it love it",
    "Works perfectly, exactly as described",
    "I was sceptical at first, but it turned out to be fantastic",
    "Great cafe, lots of seating areas and a good selection of food and drinks. The staff were very friendly.",
    "I love this lounge",
]
BAD = [
    "TERRIBLE!!!",
    "never again",
    "I wanted to love it, but it broke after two days and nobody answered.",
    "Worst customer service ever",
    "Total waste of money",
    "I want a refund",
    "The food was cold and the waiter was rude.",
    "Do not buy this",
    "Scam! They took my money and disappeared",
    "Very disappointed",
    "horrible experience, avoid",
    "It stopped working after a week",
    "not good at all",
    "I regret buying this",
    "They never replied to my emails",
    "Dirty room, loud neighbours, no sleep",
    "awful awful awful",
    "poor quality, fell apart",
    "I would give zero stars if I could",
    "Rude staff and a long wait",
]
BETWEEN = [
    "it was ok i guess",
    "could have been better",
    "It's okay, nothing special.",
    "Average at best",
    "Some things were good, others were not.",
    "so so",
    "The food was good but the service was slow.",
    "not great, not terrible",
    "Decent, but too expensive for what you get",
    "three stars",
]
STARS = [
    ("1 star", "bad"),
    ("Gave it 1 star", "bad"),
    ("I can only give 1 star", "bad"),
    ("1 star from this family", "bad"),
    ("2/10 from me", "bad"),
    ("I give it 2/10", "bad"),
    ("I give it 1/10", "bad"),
    ("1/10 from me", "bad"),
    ("1/10 for this hotel", "bad"),
    ("1/5 from me", "bad"),
    ("I give it 1/5", "bad"),
    ("0/10 from me", "bad"),
    ("1 out of 10 from me", "bad"),
    ("10 out of 10 from me", "good"),
    ("5 stars", "good"),
    ("5 stars from this family", "good"),
    ("10/10", "good"),
    ("10/10 from me", "good"),
    ("I give it 10/10", "good"),
    ("I give it 9/10", "good"),
]
NOISE = [
    "12 34",
    "asdf",
    "asdfjkl",
    "sdfsdf",
    "dfgdfg",
    "kjhkjh",
    "jkjkjk",
    "hgfdsa",
    "qwertyqwerty",
    "zxcvbnm",
    "uiop",
    "sdkjfh sdkfjh",
    "wxyz wxyz",
    "aaaaa",
    "qqqqqq",
    "abcdefg",
    "123",
    "2 4 6 8",
    "99",
    "???",
    "?!?!",
    "####",
    "lorem ipsum dolor",
    "bla bla bla",
    "foo bar baz",
    "test 123",
    "this is only a test",
    "testing one two three",
    "hello everyone",
    "good afternoon",
    "hm hm",
    "the quick brown fox",
    "random letters",
    "la la la la",
    "asdfasdf",
]
OPENINGS = [
    "The",
    "We drove to",
    "And then",
    "My order",
    "The flight",
    "This app",
    "They are a",
    "We booked two",
    "I bought a new",
    "My husband and our",
    "Their shop is",
    "When we arrived",
    "In January",
    "The package was",
    "I am writing to say",
    "We were there on Sunday",
    "It is raining",
    "My name is Peter",
    "I ordered a lamp",
    "Our waiter was",
]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer()


@pytest.mark.parametrize("text", GOOD)
def test_praise_is_good(scorer, text):
    assert scorer(text).label == "good" and scorer(text).rating >= 4


@pytest.mark.parametrize("text", BAD)
def test_a_complaint_is_bad(scorer, text):
    assert scorer(text).label == "bad" and scorer(text).rating <= 2


@pytest.mark.parametrize("text", BETWEEN)
def test_a_mixed_review_is_in_between(scorer, text):
    assert 0.2 < scorer(text).score < 0.75 and scorer(text).rating in (2, 3, 4)


@pytest.mark.parametrize("text", GOOD + BAD)
def test_the_score_of_a_typed_beginning_does_not_jump_to_the_other_side(scorer, text):
    "Once three quarters are typed, the words that decide are mostly there."
    late = [text[:end] for end in range(len(text) * 3 // 4, len(text) + 1)]
    assert ("bad" if text in GOOD else "good") not in {scorer(part).label for part in late}


@pytest.mark.parametrize(("text", "label"), STARS)
def test_stars_in_numbers_are_read(scorer, text, label):
    assert scorer(text).label == label


@pytest.mark.parametrize("text", GOOD + BAD)
def test_numbers_for_letters_change_no_label(scorer, text):
    assert scorer(text.translate(LEET)).label == ("good" if text in GOOD else "bad")


@pytest.mark.parametrize("text", ["👍👍", "👍👍👍👍", "👍👍👍👍👍", "👎👎👎", "👎👎👎👎", "👎👎👎👎👎"])
def test_thumbs_are_read(scorer, text):
    assert scorer(text).label == ("bad" if "👎" in text else "good")


def test_the_bundled_graph_gives_the_scores_it_was_released_with(scorer):
    "To 1e-6, so that a change of code cannot change what visitors see."
    recorded = json.loads((Path(__file__).parent / "bundled_scores.json").read_text(encoding="utf-8"))
    found = np.array([score.probabilities for score in scorer.many([row["text"] for row in recorded])])
    np.testing.assert_allclose(found, [row["probabilities"] for row in recorded], rtol=0, atol=1e-6)


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "\u3000"])
def test_nothing_is_neutral(scorer, text):
    assert scorer(text).score == 0.5


def is_mild(found: Score) -> bool:
    "A score stays within its label's third, so of a text that is barely good or bad it is the mildest one there."
    mean = np.dot(found.probabilities, np.linspace(0, 1, 5))
    return 0.35 < mean < 0.65 and 0.32 < found.score < 0.68 and found.rating in (2, 3, 4)


@pytest.mark.parametrize("text", [*ascii_letters, *digits, *NOISE])
def test_a_meaningless_text_stays_neutral(scorer, text):
    assert is_mild(scorer(text))


def test_letters_hit_by_chance_stay_neutral(scorer):
    "A few have a word in them."
    generator = np.random.default_rng(0)
    letters = ["".join(generator.choice(list(ascii_lowercase), generator.integers(2, 13))) for _ in range(300)]
    found = list(scorer.many(letters))
    assert np.mean([is_mild(each) for each in found]) > 0.95


@pytest.mark.parametrize("text", OPENINGS)
def test_first_words_that_say_nothing_yet_stay_neutral(scorer, text):
    assert 0.3 < scorer(text).score < 0.7 and scorer(text).rating in (2, 3, 4)


def test_no_sentence_asked_here_is_a_training_phrase():
    "Single words and bare ratings may be: there is only one way to say *terrible* or *1 star*."

    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9 ]", "", text.lower())

    def texts(name: str) -> list[str]:
        with open(DATA / name, newline="", encoding="utf-8") as lines:
            return [row["text"].lower() for row in csv.DictReader(lines)]

    phrases = [plain(text) for text in texts("phrases.csv")]
    for text in GOOD + BAD + BETWEEN:
        assert len(text.split()) == 1 or not any(plain(text) in phrase for phrase in phrases), text
    for text, _ in STARS:
        assert len(text.split()) <= 2 or not any(plain(text) in phrase for phrase in phrases), text
    nothing = set(texts("neutral.csv"))  # with their signs, of which some are nothing else
    assert not nothing & {text.lower() for text in NOISE + OPENINGS}
