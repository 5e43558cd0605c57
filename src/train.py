"""Train a model, test its best checkpoint, and leave the results in the run folder.

python src/train.py model=factorised_encoder
"""

from vivit.commands.train import main

if __name__ == "__main__":
    main()
