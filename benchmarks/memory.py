"""How much a recording process grows over a long run: prints megabytes.

Two hours of a second each, three names, a million requests, through the recorder into a run folder, as fast as it goes.
What the first minutes allocate (the interpreter, buckets of histograms) is not growth.
"""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from sm_locust.record.ledger import Planned, Sample
from sm_locust.record.outcome import Outcome
from sm_locust.record.recorder import Recorder
from sm_locust.record.run import Run

SECONDS, NAMES, REQUESTS, WARM_UP = 7200, 3, 1_000_000, 300


def main() -> None:
    chance = random.Random(1)
    process = psutil.Process()
    before = 0
    with TemporaryDirectory(prefix="sm-bench-") as folder:
        run = Run.create(Path(folder), {"speed": 1, "schedule": {"source": "", "phases": []}})
        recorder = Recorder()
        sent = 0
        for second in range(SECONDS):
            if second == WARM_UP:
                before = process.memory_info().rss
            due = REQUESTS * (second + 1) // SECONDS - sent
            for n in range(due):
                at = second + n / due
                started = at + chance.expovariate(2000)
                ended = started + chance.lognormvariate(-4.6, 0.3)
                recorder.arrived(at)
                recorder.record(Outcome(f"endpoint-{sent % NAMES}", at, started, ended - 0.0001, ended, received=7))
                sent += 1
            rows: list[Planned | Sample] = [Planned(second, second + 1, due, due), Sample(second, "local", 3, None)]
            run.append("local", recorder.take(second + 1), rows)
        print(f"{(process.memory_info().rss - before) / 1e6:.2f}")


if __name__ == "__main__":
    main()
