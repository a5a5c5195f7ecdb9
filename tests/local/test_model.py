"""The container: real predictions of the trained tree, and the answers of the blog's predictor."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from sm_locust.local.model import TREE, Model, Split


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


def csv(rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> bytes:
    return "\n".join(",".join(repr(float(value)) for value in row) for row in rows).encode()


def test_the_tree_is_what_scikit_learn_makes_of_iris() -> None:
    iris = load_iris()
    trained = DecisionTreeClassifier(random_state=0).fit(iris.data, iris.target).tree_
    winners = trained.value[:, 0, :].argmax(axis=1)

    def of(node: int) -> Split | str:
        if trained.children_left[node] < 0:
            return str(iris.target_names[winners[node]])
        below, above = of(trained.children_left[node]), of(trained.children_right[node])
        return Split(int(trained.feature[node]), float(trained.threshold[node]), below, above)

    assert of(0) == TREE


def test_every_prediction_is_the_classifiers_own(model: Model) -> None:
    iris = load_iris()
    random_rows = np.random.default_rng(5).uniform(0, 9, size=(5000, 4))
    rows = np.concatenate([iris.data, random_rows])
    classifier = DecisionTreeClassifier(random_state=0).fit(iris.data, iris.target)
    expected = [str(iris.target_names[label]) for label in classifier.predict(rows)]
    assert model.answer(b"text/csv", csv(rows)).body.decode().splitlines() == expected
    assert set(expected) == {"setosa", "versicolor", "virginica"}


def test_one_row_is_answered_with_one_line(model: Model) -> None:
    assert model.answer(b"text/csv", b"5,3.5,1.3,0.3") == (200, b"text/csv; charset=utf-8", b"setosa\n")


def test_empty_lines_and_windows_line_ends_are_no_rows(model: Model) -> None:
    answer = model.answer(b"text/csv", b"5,3.5,1.3,0.3\r\n\r\n6.3,3.3,6,2.5\r\n")
    assert answer.body == b"setosa\nvirginica\n"


@pytest.mark.parametrize("content_type", [b"application/json", b"", b"text/csv; charset=utf-8"])
def test_any_other_content_type_is_415_in_the_predictors_words(model: Model, content_type: bytes) -> None:
    assert model.answer(content_type, b"5,3.5,1.3,0.3")[::2] == (415, b"This predictor only supports CSV data")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"a,b,c,d",
        b"1,2,3",
        b"1,2,3,4,5",
        b"1,2,3,4\n1,2,3",
        b"1,2,,4",
        b"nan,1,1,1",
        b"1e300,1,1,1",
        b"\xff,1,1,1",
    ],
)
def test_a_csv_that_is_no_table_of_four_numbers_is_500(model: Model, body: bytes) -> None:
    assert model.answer(b"text/csv", body).status == 500
