"""The second half of the group `sklearn`: a pickled model in a worker process beside the same model
in a loop of plain Python, with as many rows in a run.

The loop calls `model.predict(batch)` and nothing else; the worker answers probabilities as well, and
its time is that of the whole run: into shared memory, to the worker and back (`engine_us` of `sluice
bench`). What a user gets over HTTP is the first half, beside the FastAPI program.
"""
import itertools
import json
import subprocess
import sys
from statistics import median

from . import report
from .servers import BENCH, BenchError

ROWS = (1, 32, 1024)
WORST = 1.3  # times the plain loop


def rows_of(site, count):
    with open(site.example("golden/breast_cancer.v1.jsonl")) as lines:
        golden = [json.loads(line)["features"] for line in lines]
    return list(itertools.islice(itertools.cycle(golden), count))


def worker_time(site, model, rows, seconds):
    """Microseconds of a run."""
    features = site.temp / "features.json"
    features.write_text(json.dumps(rows))
    run = subprocess.run(
        [site.binary("sluice"), "bench", model, "--allow-pickle", "--python", sys.executable,
         "--json", "--seconds", str(2 * seconds), "--input", features],
        capture_output=True, text=True, timeout=2 * seconds + 60)
    if run.returncode != 0:
        raise BenchError(run.stderr.strip()[-300:])
    return json.loads(run.stdout)["engine_us"]


def loop_time(site, model, rows, seconds):
    run = subprocess.run([sys.executable, BENCH / "peers/predict_loop.py", model, str(seconds)],
                         input=json.dumps(rows), capture_output=True, text=True,
                         timeout=seconds + 60,
                         env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1",
                              "OPENBLAS_NUM_THREADS": "1"})
    if run.returncode != 0:
        raise BenchError(run.stderr.strip()[-300:])
    return float(run.stdout)


def measure(site, rounds, seconds, say):
    """Interleaved: loop, worker, with 1, 32 and 1024 rows; then again."""
    out, model = Pickles(), site.pickle()
    for number in range(1, rounds + 1):
        for count in ROWS:
            rows = rows_of(site, count)
            for name, time_of in (("loop", loop_time), ("worker", worker_time)):
                took = time_of(site, model, rows, seconds)
                say(f"round {number}/{rounds}  {name}, {count} rows: {took:,.1f} us a run")
                out.results.setdefault((name, count), []).append(took)
    return out


class Pickles:
    """{(loop or worker, rows): [microseconds of a run, in each round]}"""

    def __init__(self):
        self.results = {}

    def table(self):
        lines = [("", "rows a run", "predictions/s", "µs a run", "min – max")]
        for (name, count), took in sorted(self.results.items(), key=lambda cell: cell[0][1]):
            title = "model.predict in a loop" if name == "loop" else "worker process"
            lines.append((title, f"{count:,}", f"{1e6 * count / median(took):,.0f}",
                          f"{median(took):,.1f}", f"{min(took):,.1f} – {max(took):,.1f}"))
        return "scikit-learn in this process's own time\n" + report.aligned(lines)

    def reach(self):
        return [report.entry(f"sklearn, a run of {count} rows, times the plain loop's",
                             [worker / loop for worker, loop in zip(
                                 self.results["worker", count], self.results["loop", count])],
                             report.AT_MOST, WORST, "×") for count in ROWS]

    def cells(self):
        return [{"key": name, "rows": count, "us_per_run": median(took), "rounds": took}
                for (name, count), took in self.results.items()]
