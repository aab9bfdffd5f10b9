"""A peer that measures one case in rounds, driven over standard input.

    python serve.py {jax,torch} CASE

Prints one JSON line when it is ready ({"ready", "version", "compileSeconds"}), then one ({"value"}) for every line that it reads. A case is
a function that returns (run, work): `run()` does one round and blocks until its results are there, `work` is what a round is worth (steps,
particle-steps, GFLOP ...); the value is work per second. Exit code 3 when the library is not installed.
"""
import importlib
import json
import sys
import time


def say(**fields):
    print(json.dumps(fields), flush=True)


def main():
    library, name = sys.argv[1:3]
    try:
        cases = importlib.import_module(f"{library}_cases")
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        sys.exit(3)
    if name not in cases.CASES:
        print(f"{library} has no case {name}", file=sys.stderr)
        sys.exit(4)
    run, work = cases.CASES[name]()
    began = time.perf_counter()
    run()
    compile_seconds = time.perf_counter() - began
    began = time.perf_counter()
    run()
    once = time.perf_counter() - began
    # A round lasts about a third of a second.
    repeats = max(1, round(0.3 / max(once, 1e-6)))
    say(ready=True, version=cases.VERSION, compileSeconds=compile_seconds - once)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(repeats):
            run()
        say(value=repeats * work / (time.perf_counter() - began))


main()
