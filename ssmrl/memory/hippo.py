"""HiPPO-N, the initial state matrix of S4D and S5, in its eigenbasis."""

from functools import lru_cache

import numpy as np


@lru_cache
def hippo_normal(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues [N] and eigenvectors [N, N] of the normal part of HiPPO-LegS.

    Gupta et al. 2022 (arXiv 2206.11893), and Smith et al. 2023 (arXiv 2208.04933), section 4.1.
    The matrix is S - I/2 with S skew-symmetric, so all real parts are -1/2 and the eigenvectors
    are orthonormal. Sorted by imaginary part: the first half are those below zero.
    """
    root = np.sqrt(2 * np.arange(size) + 1.0)
    lower = np.tril(np.outer(root, root), -1) / 2
    skew = lower.T - lower
    imaginary, vectors = np.linalg.eigh(-1j * skew)
    return _frozen(-0.5 + 1j * imaginary), _frozen(vectors)


@lru_cache
def blocks_of_hippo(size: int, blocks: int, conj_sym: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues [P] and eigenvectors [N, P] of a matrix with HiPPO-N blocks.

    With ``conj_sym`` only one of each pair of conjugates is kept, P = N / 2, else P = N.
    """
    eigenvalues, vectors = hippo_normal(size // blocks)
    if conj_sym:
        half = eigenvalues.size // 2
        eigenvalues, vectors = eigenvalues[:half], vectors[:, :half]
    return _frozen(np.tile(eigenvalues, blocks)), _frozen(np.kron(np.eye(blocks), vectors))


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False  # results are cached, so nobody may change them
    return array
