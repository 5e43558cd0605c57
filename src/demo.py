"""A page in the browser: drop a video, see its classes and where the network looked.

python src/demo.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt
"""

from vivit.commands.demo import main

if __name__ == "__main__":
    main()
