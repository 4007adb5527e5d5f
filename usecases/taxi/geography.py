"""Where zones lie and how far they are, learnt from the recorded trips alone: no map is needed.

Zones are nodes of a graph, joined where trips went, each edge as long as the median trip in either direction.
Shortest paths give a length, in miles or minutes, between any two zones, also between those that no trip
joined; classical multidimensional scaling (Torgerson 1952) turns miles into coordinates.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

ZONES = 266
DIMENSIONS = 4
# Trips outside this range say nothing about where zones lie.
_MIN_MILES, _MAX_MILES = 0.05, 29.9

Array = npt.NDArray[np.float64]


class Geography:
    """Coordinates of the zones and road distances between them, in miles."""

    def fit(self, X: pd.DataFrame) -> Geography:
        """Learn from the feature frame's `pickup`, `dropoff` and `distance`."""
        sane = X["distance"].between(_MIN_MILES, _MAX_MILES).to_numpy()
        self.paths = shortest_paths(X[sane], X["distance"].to_numpy()[sane])
        self.coordinates = _scale(self.paths)
        return self


def shortest_paths(X: pd.DataFrame, lengths: Array) -> Array:
    """Shortest paths over the median of the trips' `lengths` between zones; shape (ZONES, ZONES).

    Zones that no trip reached are taken for as far as the farthest.
    """
    from scipy.sparse.csgraph import shortest_path

    apart = (X["pickup"] != X["dropoff"]).to_numpy()
    medians = pd.Series(lengths[apart]).groupby(X["unordered_pair"].to_numpy()[apart]).median()
    pairs = medians.index.to_numpy(dtype=np.int64)
    low, high = pairs // 1000, pairs % 1000
    edges = np.zeros((ZONES, ZONES))
    edges[low, high] = edges[high, low] = medians.to_numpy()
    paths: Array = shortest_path(edges, directed=False)
    reached = np.isfinite(paths)
    paths[~reached] = paths[reached].max()
    np.fill_diagonal(paths, 0.0)
    return paths


def _scale(distances: Array) -> Array:
    """Coordinates whose distances come closest to `distances`; shape (ZONES, DIMENSIONS)."""
    centre = np.eye(len(distances)) - 1 / len(distances)
    values, vectors = np.linalg.eigh(-0.5 * centre @ distances**2 @ centre)
    largest = np.argsort(-values)[:DIMENSIONS]
    chosen = vectors[:, largest]
    # An eigenvector's sign is arbitrary and differs between machines: its largest entry is made positive.
    signs = np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(DIMENSIONS)])
    scaled: Array = chosen * signs * np.sqrt(np.maximum(values[largest], 0))
    return scaled
