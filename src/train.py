"""Train a model, test its best checkpoint, and leave the results in the run folder.

python src/train.py model=factorised_encoder
"""

if __name__ == "__main__":  # workers may import this file: they need nothing of it
    from vivit.commands.train import main

    main()
