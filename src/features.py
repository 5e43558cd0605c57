"""Frozen features of every video of a data set, in one file a split.

python src/features.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt target=features
"""

if __name__ == "__main__":  # workers may import this file: they need nothing of it
    from vivit.commands.features import main

    main()
