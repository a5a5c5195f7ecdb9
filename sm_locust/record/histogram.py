"""One distribution of durations: cheap to record, exact to merge, encoded in the HdrHistogram V2 format.

Buckets are those of HdrHistogram(1 µs, 120 s, 3 significant digits): their index is computed here, so that recording is
one dictionary update. The V2 format is written and read here too, byte for byte as the hdrhistogram library has it: the
library goes through an array of 18,432 counters for it, six times as long as it takes to name the few that were
touched, and a process that makes load cannot be away from its loop for so long. What is recorded where is the
Interval's business.
"""

from __future__ import annotations

import math
import struct
import zlib
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache
from itertools import accumulate
from operator import mul

from sm_locust.record.rounding import in_ms

LOWEST_US = 1
HIGHEST_US = 120_000_000
DIGITS = 3

# With three significant digits the library uses 2,048 sub-buckets: values below that are their own index, above it each
# doubling of the value is divided into 1,024 buckets, so a bucket is never wider than 0.1% of its value.
_EXACT_BITS = 11
_EXACT = 1 << _EXACT_BITS
_HALF_BITS = _EXACT_BITS - 1

# HdrHistogram V2, all big-endian: a cookie and the length of what follows, compressed; in it a header (cookie, length
# of the words, normalizing offset, digits, lowest, highest, ratio) and the words, one for each counter up to the last
# that is not 0: a count, or minus the length of a row of zeros, zigzagged and in groups of seven bits (LEB128).
_COMPRESSED = struct.Struct(">II")
_COMPRESSED_COOKIE = 0x1C849314
_HEADER = struct.Struct(">IIIIQQd")
_COOKIE = 0x1C849313
_SETTINGS = (0, DIGITS, LOWEST_US, HIGHEST_US, 1.0)
_WORD_BITS = 63  # of a word; the format's counters have 64 bits with the sign

PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p999": 0.999}


def bucket_of(seconds: float) -> int:
    """The index of the bucket that holds a duration; 1 µs and 120 s hold what lies beyond them."""
    us = int(seconds * 1e6 + 0.5)
    if us < _EXACT:
        return us if us > LOWEST_US else LOWEST_US
    if us > HIGHEST_US:
        us = HIGHEST_US
    shift = us.bit_length() - _EXACT_BITS
    return (shift << _HALF_BITS) + (us >> shift)


def lowest_us(bucket: int) -> int:
    """The lowest microsecond of a bucket."""
    if bucket < _EXACT:
        return bucket
    shift = (bucket >> _HALF_BITS) - 1
    return ((bucket & ((1 << _HALF_BITS) - 1)) + (1 << _HALF_BITS)) << shift


@cache  # of the few thousand buckets there are: every mean asks for each of its own
def middle_us(bucket: int) -> float:
    """The value that stands for a bucket: its middle, so that a percentile is off by at most 0.05%."""
    if bucket < _EXACT:
        return float(bucket)
    shift = (bucket >> _HALF_BITS) - 1
    return lowest_us(bucket) + ((1 << shift) - 1) / 2


_LAST = bucket_of(HIGHEST_US / 1e6)
_LONGEST = _HEADER.size + (_LAST + 1) * (_WORD_BITS // 7 + 1)  # bytes, uncompressed


class Histogram:
    """Durations counted by bucket. `counts` maps a bucket (see `bucket_of`) to how many fell into it."""

    __slots__ = ("counts",)

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self.counts: dict[int, int] = {} if counts is None else counts

    def record(self, seconds: float) -> None:
        bucket = bucket_of(seconds)
        counts = self.counts
        counts[bucket] = counts.get(bucket, 0) + 1

    def merge(self, other: Histogram) -> None:
        counts = self.counts
        if not counts:
            counts.update(other.counts)  # ten times as fast as one by one
            return
        for bucket, n in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + n

    @classmethod
    def merged(cls, many: Iterable[Histogram]) -> Histogram:
        whole = cls()
        for one in many:
            whole.merge(one)
        return whole

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]

    @property
    def mean(self) -> float | None:
        """Seconds; None when empty."""
        n = self.count
        counts = self.counts
        return sum(map(mul, map(middle_us, counts), counts.values())) / n / 1e6 if n else None

    @property
    def max(self) -> float | None:
        """Seconds; None when empty."""
        return middle_us(max(self.counts)) / 1e6 if self.counts else None

    def quantile(self, q: float) -> float | None:
        """The nearest-rank quantile in seconds: the value of rank ceil(q·n), never interpolated; None when empty."""
        return self._quantiles([q])[0]

    def _quantiles(self, qs: list[float]) -> list[float | None]:
        """Several at once, since all of them need the buckets in order."""
        buckets = sorted(self.counts)
        if not buckets:
            return [None] * len(qs)
        up_to = list(accumulate(map(self.counts.__getitem__, buckets)))
        ranks = (max(1, math.ceil(round(q * up_to[-1], 9))) for q in qs)
        return [middle_us(buckets[bisect_left(up_to, rank)]) / 1e6 for rank in ranks]

    def metric(self, statistic: str) -> float | None:
        """`mean`, `max` or one of PERCENTILES, in seconds."""
        if statistic == "mean":
            return self.mean
        if statistic == "max":
            return self.max
        return self.quantile(PERCENTILES[statistic])

    def summary_ms(self) -> dict[str, float | int | None]:
        """`p50 p90 p95 p99 p999 max mean` in milliseconds, and `count`."""
        found = self._quantiles(list(PERCENTILES.values()))
        row: dict[str, float | int | None] = {
            name: in_ms(value) for name, value in zip(PERCENTILES, found, strict=True)
        }
        return {**row, "max": in_ms(self.max), "mean": in_ms(self.mean), "count": self.count}

    def encode(self) -> str:
        """HdrHistogram V2, compressed, base64: readable by every HdrHistogram tool."""
        counts = self.counts
        words = bytearray()
        put = words.append
        after = 0  # the bucket after the last one that was written
        for bucket in sorted(counts):
            if bucket != after:
                word = 2 * (bucket - after) - 1
                while word > 0x7F:
                    put(word & 0x7F | 0x80)
                    word >>= 7
                put(word)
            word = 2 * counts[bucket]
            while word > 0x7F:
                put(word & 0x7F | 0x80)
                word >>= 7
            put(word)
            after = bucket + 1
        payload = zlib.compress(_HEADER.pack(_COOKIE, len(words), *_SETTINGS) + words)
        return b64encode(_COMPRESSED.pack(_COMPRESSED_COOKIE, len(payload)) + payload).decode("ascii")

    @classmethod
    def decode(cls, text: str) -> Histogram:
        """The inverse of `encode`. Raises ValueError for what is none, or has other settings than ours."""
        try:
            unzip = zlib.decompressobj()
            data = unzip.decompress(b64decode(text, validate=True)[_COMPRESSED.size :], _LONGEST)
            cookie, length, *settings = _HEADER.unpack_from(data)
        except (ValueError, zlib.error, struct.error) as e:
            raise ValueError(f"{text[:40]!r}… is not an encoded histogram: {e}") from None
        if cookie != _COOKIE or tuple(settings) != _SETTINGS or len(data) != _HEADER.size + length or not unzip.eof:
            raise ValueError(f"{text[:40]!r}… is not a histogram of 1 µs to 120 s with three digits, or is cut short")
        counts: dict[int, int] = {}
        bucket = word = shift = 0
        for byte in data[_HEADER.size :]:
            if byte > 0x7F:
                word |= (byte & 0x7F) << shift
                shift += 7
                if shift > _WORD_BITS:
                    raise ValueError(f"{text[:40]!r}… is not an encoded histogram: a number of more than 64 bits")
                continue
            if shift:
                byte = word | byte << shift
                word = shift = 0
            if byte & 1:
                bucket += (byte + 1) >> 1
            else:
                if byte:
                    counts[bucket] = byte >> 1
                bucket += 1
        if bucket > _LAST + 1:
            raise ValueError(f"{text[:40]!r}… is not a histogram of 1 µs to 120 s: it counts what lies beyond")
        return cls(counts)
