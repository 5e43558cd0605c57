"""Write a checkpoint as a model file that runs without this repository, checked against it on random clips.

python src/export.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt target=clip.onnx
"""

from vivit.commands.export import main

if __name__ == "__main__":
    main()
