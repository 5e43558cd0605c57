"""Measure: models beside the paper, the clip loader beside others.

python src/benchmark.py bench=model
python src/benchmark.py bench=loader bench.videos=FOLDER
"""

if __name__ == "__main__":  # workers may import this file: they need nothing of it
    from vivit.commands.benchmark import main

    main()
