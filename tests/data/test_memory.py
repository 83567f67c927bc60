"""Memory of this process."""

import ctypes
import sys

import pytest

from batchtrainingbooster.memory import peak_bytes, resident_bytes, return_freed_memory

MB = 10**6


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="needs a C library that keeps what is freed, and can be asked to return it",
)
def test_freed_memory_is_returned():
    # What tests before this one have freed would be used again.
    return_freed_memory()
    before = resident_bytes()
    # Too small to be pages of their own; the last one keeps the others from the heap's end.
    blocks = [b"x" * 60_000 for _ in range(2_000)]
    last = blocks[-1]
    held = resident_bytes()
    assert held > before + 100 * MB
    del blocks
    return_freed_memory()
    assert len(last) == 60_000
    assert resident_bytes() < held - 100 * MB
    # The system counts pages in lots.
    assert peak_bytes() > held - MB
