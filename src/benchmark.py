"""Measure: models beside the paper, the clip loader beside others.

python src/benchmark.py bench=model
python src/benchmark.py bench=loader bench.videos=FOLDER
"""

from vivit.commands.benchmark import main

if __name__ == "__main__":
    main()
