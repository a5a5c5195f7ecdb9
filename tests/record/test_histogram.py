"""Histograms against exact samples and against the library whose format they use."""

from __future__ import annotations

import base64
import math
import random
import struct
import tracemalloc
import zlib

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.record.histogram import DIGITS, HIGHEST_US, LOWEST_US, Histogram, bucket_of, lowest_us, middle_us

durations = st.floats(min_value=1e-6, max_value=120.0)


def nearest_rank(sample: list[float], q: float) -> float:
    return sorted(sample)[max(1, math.ceil(round(q * len(sample), 9))) - 1]


@given(st.integers(min_value=1, max_value=HIGHEST_US))
def test_a_bucket_is_the_librarys_bucket(us: int) -> None:
    library = HdrHistogram(1, HIGHEST_US, 3)
    assert bucket_of(us / 1e6) == library._counts_index_for(us)
    assert lowest_us(bucket_of(us / 1e6)) == library.get_lowest_equivalent_value(us)


@given(st.integers(min_value=1, max_value=HIGHEST_US))
def test_the_value_of_a_bucket_is_within_a_twentieth_of_a_percent(us: int) -> None:
    assert abs(middle_us(bucket_of(us / 1e6)) - us) <= us * 0.0005


@given(st.lists(durations, min_size=1, max_size=200), st.floats(min_value=0.0, max_value=1.0))
def test_a_quantile_is_the_nearest_rank_of_the_sample(sample: list[float], q: float) -> None:
    histogram = Histogram()
    for value in sample:
        histogram.record(value)
    exact = nearest_rank(sample, q)
    found = histogram.quantile(q)
    assert found is not None
    assert abs(found - exact) <= max(exact * 0.001, 0.6e-6)


def test_merged_workers_have_the_percentiles_of_the_pooled_sample() -> None:
    source = random.Random(7)
    workers = [[source.lognormvariate(-4.5, 0.8) for _ in range(5_000)] for _ in range(4)]
    parts = []
    for sample in workers:
        part = Histogram()
        for value in sample:
            part.record(value)
        parts.append(part)
    merged = Histogram.merged(parts)
    pooled = [value for sample in workers for value in sample]
    assert merged.count == len(pooled)
    for q in (0.5, 0.9, 0.95, 0.99, 0.999):
        found = merged.quantile(q)
        assert found is not None
        assert abs(found / nearest_rank(pooled, q) - 1) < 0.001
    assert merged.mean is not None
    assert abs(merged.mean / (sum(pooled) / len(pooled)) - 1) < 0.0005


@given(st.lists(durations, max_size=100))
def test_encoding_loses_nothing(sample: list[float]) -> None:
    histogram = Histogram()
    for value in sample:
        histogram.record(value)
    assert Histogram.decode(histogram.encode()) == histogram


# Few and many, side by side and far apart, counted once and a million times.
counted = st.dictionaries(
    st.integers(1, HIGHEST_US).map(lambda us: bucket_of(us / 1e6)) | st.integers(1, 300),
    st.integers(1, 200) | st.integers(1, 1 << 40),
    max_size=60,
)


@given(counted)
def test_the_encoded_form_is_the_librarys_byte_for_byte(counts: dict[int, int]) -> None:
    histogram = Histogram(counts)
    hdr = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    for bucket, n in counts.items():
        hdr.record_value(lowest_us(bucket), n)
    library = hdr.encode().decode()
    assert inflated(histogram.encode()) == inflated(library)
    assert Histogram.decode(library) == histogram


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no base64!", "is not an encoded histogram"),
        ("AAAA", "is not an encoded histogram"),
        (HdrHistogram(1, 60_000_000, 3).encode().decode(), "is not a histogram of 1 µs to 120 s with three digits"),
        (HdrHistogram(1, HIGHEST_US, 2).encode().decode(), "is not a histogram of 1 µs to 120 s with three digits"),
    ],
)
def test_what_is_no_histogram_of_ours_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Histogram.decode(text)


def test_a_histogram_that_was_cut_short_is_refused() -> None:
    data = inflated(Histogram({1000: 1, 2000: 3}).encode())[:-1]
    payload = zlib.compress(data)
    cut = base64.b64encode(struct.pack(">II", 0x1C849314, len(payload)) + payload).decode()
    with pytest.raises(ValueError, match="or is cut short"):
        Histogram.decode(cut)


def inflated(encoded: str) -> bytes:
    """What is in the compressed part: two zlibs may compress the same differently."""
    return zlib.decompress(base64.b64decode(encoded)[8:])


def test_the_encoded_form_is_one_that_the_library_reads() -> None:
    histogram = Histogram()
    for ms in (1, 2, 3, 400):
        histogram.record(ms / 1e3)
    library = HdrHistogram.decode(histogram.encode().encode())
    assert library.get_total_count() == 4
    assert library.get_value_at_percentile(50) == library.get_highest_equivalent_value(2000)


def test_what_lies_beyond_the_range_is_counted_at_its_ends() -> None:
    histogram = Histogram()
    for value in (-0.001, 0.0, 1e-9, 500.0):
        histogram.record(value)
    assert histogram.count == 4
    assert histogram.quantile(0.5) == 1e-6
    assert histogram.max is not None
    assert abs(histogram.max - 120.0) < 0.07


def test_an_empty_histogram_has_a_count_and_no_values() -> None:
    row = Histogram().summary_ms()
    assert row.pop("count") == 0
    assert set(row) == {"p50", "p90", "p95", "p99", "p999", "max", "mean"}
    assert set(row.values()) == {None}


def encoded(words: bytes) -> str:
    """As a histogram of ours: a header and these words."""
    header = zlib.decompress(base64.b64decode(Histogram({}).encode())[8:])
    payload = zlib.compress(header[:4] + struct.pack(">I", len(words)) + header[8:] + words)
    return base64.b64encode(struct.pack(">II", 0x1C849314, len(payload)) + payload).decode()


def test_a_bucket_beyond_the_last_is_refused() -> None:
    last = bucket_of(HIGHEST_US / 1e6)
    assert Histogram.decode(Histogram({last: 3}).encode()).counts == {last: 3}
    for bucket in (last + 1, 10**9):
        with pytest.raises(ValueError, match="it counts what lies beyond"):
            Histogram.decode(Histogram({bucket: 3}).encode())


@pytest.mark.parametrize("words", [b"\x02" * 20_000_000, b"\x80" * 100_000 + b"\x02"])
def test_what_is_longer_than_a_histogram_can_be_is_refused_before_it_takes_memory_or_time(words: bytes) -> None:
    text = encoded(words)
    tracemalloc.start()
    with pytest.raises(ValueError):
        Histogram.decode(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
