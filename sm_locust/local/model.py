"""The model container: a decision tree trained on iris, behind the HTTP answers of a bring-your-own container.

Trained at start-up with scikit-learn, which nothing else imports. Turning a container's error into SageMaker's is the
app's; how long a prediction takes in the simulated world is the instance's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

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


class Model:
    """`classifier` is the trained scikit-learn estimator, `class_names` what its classes are called."""

    def __init__(self) -> None:
        iris = load_iris()
        self.classifier = DecisionTreeClassifier(random_state=0).fit(iris.data, iris.target)
        self.class_names: list[str] = [str(name) for name in iris.target_names]
        self._features = int(self.classifier.n_features_in_)
        # `classifier.predict` spends 100 µs on checking its input. The trained tree itself maps float32 rows to
        # leaves in a few; each leaf's answer is the class that most of its training samples had, as predict says.
        self._tree = self.classifier.tree_
        winners = self._tree.value[:, 0, :].argmax(axis=1)
        self._line_of_node = [f"{self.class_names[winner]}\n".encode() for winner in winners]

    def answer(self, content_type: bytes, body: bytes) -> ContainerAnswer:
        """One class name a line for `text/csv`; 415 for any other type; 500 for a CSV that is no table of numbers."""
        if content_type != b"text/csv":
            return ContainerAnswer(415, b"text/plain; charset=utf-8", b"This predictor only supports CSV data")
        try:
            rows = self._rows(body)
        except ValueError:
            return ContainerAnswer(500, b"text/html; charset=utf-8", _INTERNAL_SERVER_ERROR.encode())
        lines = [self._line_of_node[leaf] for leaf in self._tree.apply(rows)]
        return ContainerAnswer(200, b"text/csv; charset=utf-8", b"".join(lines))

    def _rows(self, body: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        """The CSV as float32, the type the tree was trained on. Raises ValueError for anything else than numbers."""
        table = [list(map(float, line.split(","))) for line in body.decode("utf-8").splitlines() if line]
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
            rows = np.array(table, dtype=np.float32)  # ValueError for lines of different lengths
        if rows.ndim != 2 or rows.shape[1] != self._features or not np.isfinite(rows).all():
            raise ValueError(f"expected rows of {self._features} finite numbers")
        return rows
