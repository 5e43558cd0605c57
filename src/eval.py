"""Score a checkpoint with many views of every video.

python src/eval.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt views=4x3
"""

from vivit.commands.eval import main

if __name__ == "__main__":
    main()
