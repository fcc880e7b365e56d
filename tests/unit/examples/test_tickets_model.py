"""The sample job's classifier, measured on messages that it was not fitted to."""

import csv
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import examples.tickets
from examples.tickets.model import Classification, Model, _features

FOLDER = Path(examples.tickets.__file__).parent
BREAKFAST = [
    ("tea with milk", "tea"),
    ("a pot of green tea", "tea"),
    ("black tea please", "tea"),
    ("strong coffee", "coffee"),
    ("coffee without sugar", "coffee"),
    ("a large coffee please", "coffee"),
]


def read(name: str) -> list[tuple[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file, strict=True)]


@pytest.fixture(scope="module")
def sample() -> list[tuple[str, str]]:
    return read("sample.csv")


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.fit(read("training.csv"))


@pytest.fixture(scope="module")
def classified(model: Model, sample: list[tuple[str, str]]) -> list[tuple[Classification, bool]]:
    """Each message of the sample, and whether it was classified rightly."""
    found = [(model.classify(text), category) for text, category in sample]
    return [(classification, classification.category == category) for classification, category in found]


def calibration_error(judged: list[tuple[float, bool]]) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al. 2017)."""
    gaps = [0.0] * 10
    for probability, right in judged:
        gaps[min(int(probability * 10), 9)] += probability - right
    return sum(map(abs, gaps)) / len(judged)


def naive_bayes(model: Model, text: str) -> tuple[str, float]:
    """The category and probability that naive Bayes would give, where every feature counts in full."""
    known = [model.lifts[feature] for feature in _features(text) if feature in model.lifts]
    scores = [sum(column) for column in zip(model.log_shares, *known, strict=True)]
    best = max(scores)
    probability = 1 / sum(math.exp(score - best) for score in scores)
    return model.categories[scores.index(best)], probability


def test_is_right_about_most_of_the_sample(classified: list[tuple[Classification, bool]]) -> None:
    assert sum(right for _, right in classified) / len(classified) >= 0.78


def test_what_is_approved_is_right_far_more_often_than_what_a_person_sees(
    classified: list[tuple[Classification, bool]],
) -> None:
    approved = [right for classification, right in classified if classification.probability >= 0.70]
    reviewed = [right for classification, right in classified if classification.probability < 0.70]
    assert 0.6 <= len(approved) / len(classified) <= 0.9
    assert sum(approved) / len(approved) >= 0.90
    assert sum(reviewed) / len(reviewed) <= 0.65


def test_a_probability_is_how_often_it_is_right(classified: list[tuple[Classification, bool]]) -> None:
    judged = [(classification.probability, right) for classification, right in classified]
    assert calibration_error(judged) <= 0.05


def test_plain_naive_bayes_is_far_too_sure(
    model: Model, sample: list[tuple[str, str]], classified: list[tuple[Classification, bool]]
) -> None:
    plain = [(naive_bayes(model, text), category) for text, category in sample]
    judged = [(classification.probability, right) for classification, right in classified]
    overconfident = [(probability, found == category) for (found, probability), category in plain]
    assert calibration_error(judged) < calibration_error(overconfident) / 2


def test_probabilities_sum_to_one_and_the_highest_is_reported(
    model: Model, sample: list[tuple[str, str]], classified: list[tuple[Classification, bool]]
) -> None:
    for (text, _), (classification, _) in zip(sample[::10], classified[::10], strict=True):
        probabilities = model.probabilities(text)
        assert sum(probabilities.values()) == pytest.approx(1)
        assert all(0 <= probability <= 1 for probability in probabilities.values())
        assert classification.probability == max(probabilities.values())
        assert probabilities[classification.category] == classification.probability


def test_evidence_is_up_to_three_words_of_the_message(
    sample: list[tuple[str, str]], classified: list[tuple[Classification, bool]]
) -> None:
    for (text, _), (classification, _) in zip(sample, classified, strict=True):
        assert len(classification.evidence) <= 3
        assert all(word in text.casefold().replace("\u2019", "'") for word in classification.evidence)


def test_evidence_is_what_spoke_for_the_category(model: Model) -> None:
    evidence = model.classify("Hello there, could I have the invoice for the lamp that you sent?").evidence
    assert evidence[0] == "invoice"
    assert "the" not in evidence


def test_a_misspelt_word_still_speaks(model: Model) -> None:
    assert model.classify("refunnd pls").category == "refund"


def test_the_same_messages_make_the_same_model_in_every_process() -> None:
    program = (
        "import sys, examples.tickets.model as m;"
        f"print(m.Model.fit({BREAKFAST!r}).probabilities('green tea, no sugar'), m._features('green tea'))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=FOLDER.parents[1],
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_words_it_never_saw_leave_the_categories_their_share_of_training() -> None:
    model = Model.fit([*BREAKFAST, ("iced tea", "tea"), ("hot tea", "tea")])
    assert model.probabilities("zzz qqq") == pytest.approx({"coffee": 3 / 8, "tea": 5 / 8})
    assert model.classify("zzz qqq").evidence == ()


@pytest.mark.parametrize("text", ["", "   ", "?!", "👍"])
def test_a_message_without_words_is_not_sure_of_anything(model: Model, text: str) -> None:
    classification = model.classify(text)
    assert classification.probability < 0.2
    assert classification.evidence == ()


def test_one_category_is_always_right() -> None:
    model = Model.fit([("where is my parcel", "delivery"), ("it has not come", "delivery")])
    assert model.classify("anything").category == "delivery"
    assert model.classify("anything").probability == 1


def test_messages_that_cannot_be_held_out_make_it_sure_of_nothing() -> None:
    model = Model.fit([("tea", "tea"), ("coffee", "coffee"), ("juice", "juice")])
    assert model.classify("tea").category == "tea"
    assert model.classify("tea").probability < 0.5


def test_no_messages_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="needs messages"):
        Model.fit([])


def test_accents_may_be_composed_or_not_and_case_does_not_matter() -> None:
    model = Model.fit([("où est mon café", "café"), ("Grüße aus Köln", "gruß"), ("вернуть деньги", "возврат")])
    assert model.probabilities("CAFE\u0301") == model.probabilities("café")
    assert model.classify("KÖLN").category == "gruß"
    assert model.classify("Деньги!").category == "возврат"


def test_training_and_sample_are_large_and_share_nothing() -> None:
    training, sample = read("training.csv"), read("sample.csv")
    texts = [" ".join(_features(text)) for text, _ in training + sample]
    assert len(training) >= 350
    assert len(sample) >= 250
    assert len(set(texts)) == len(texts)
    assert {category for _, category in training} == {category for _, category in sample}
    assert min(Counter(category for _, category in sample).values()) >= 20
