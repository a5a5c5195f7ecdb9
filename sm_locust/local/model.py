"""The model container: a decision tree trained on iris, behind the HTTP answers of a bring-your-own container.

The tree is what scikit-learn makes of iris, written down: to import scikit-learn takes longer than all else that the
endpoint needs. The tests train it again, and compare. Turning a container's error into SageMaker's is the app's; how
long a prediction takes in the simulated world is the instance's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Flask's page for an exception in the predictor, which is what an unusable CSV comes to in the blog's container.
_INTERNAL_SERVER_ERROR = (
    "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>\n"
    "<p>The server encountered an internal error and was unable to complete your request. Either the server is "
    "overloaded or there is an error in the application.</p>\n"
)


class ContainerAnswer(NamedTuple):
    """What the container says to SageMaker."""

    status: int
    content_type: bytes
    body: bytes


class Split(NamedTuple):
    """A node: rows whose feature is at most the threshold go below, the others above; a leaf is the name of a class."""

    feature: int
    threshold: float
    below: Split | str
    above: Split | str


FEATURES = 4  # sepal length and width, petal length and width, in centimetres

# DecisionTreeClassifier(random_state=0).fit(iris.data, iris.target)
TREE = Split(
    3,
    0.800000011920929,
    "setosa",
    Split(
        3,
        1.75,
        Split(
            2,
            4.950000047683716,
            Split(3, 1.6500000357627869, "versicolor", "virginica"),
            Split(3, 1.550000011920929, "virginica", Split(2, 5.450000047683716, "versicolor", "virginica")),
        ),
        Split(2, 4.8500001430511475, Split(1, 3.100000023841858, "virginica", "versicolor"), "virginica"),
    ),
)


class Model:
    """The trained tree, as a container serves it."""

    def answer(self, content_type: bytes, body: bytes) -> ContainerAnswer:
        """One class name a line for `text/csv`; 415 for any other type; 500 for a CSV that is no table of numbers."""
        if content_type != b"text/csv":
            return ContainerAnswer(415, b"text/plain; charset=utf-8", b"This predictor only supports CSV data")
        try:
            rows = self._rows(body)
        except ValueError:
            return ContainerAnswer(500, b"text/html; charset=utf-8", _INTERNAL_SERVER_ERROR.encode())
        lines = [f"{_class_of(row)}\n" for row in rows.tolist()]
        return ContainerAnswer(200, b"text/csv; charset=utf-8", "".join(lines).encode())

    def _rows(self, body: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        """The CSV as float32, the type the tree was trained on. Raises ValueError for anything else than numbers."""
        table = [list(map(float, line.split(","))) for line in body.decode("utf-8").splitlines() if line]
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
            rows = np.array(table, dtype=np.float32)  # ValueError for lines of different lengths
        if rows.ndim != 2 or rows.shape[1] != FEATURES or not np.isfinite(rows).all():
            raise ValueError(f"expected rows of {FEATURES} finite numbers")
        return rows


def _class_of(row: list[float]) -> str:
    node: Split | str = TREE
    while isinstance(node, Split):
        node = node.below if row[node.feature] <= node.threshold else node.above
    return node
