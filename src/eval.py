"""Score a checkpoint with many views of every video.

python src/eval.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt views=4x3
"""

if __name__ == "__main__":  # workers may import this file: they need nothing of it
    from vivit.commands.eval import main

    main()
