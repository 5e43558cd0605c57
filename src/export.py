"""Write a checkpoint as a model file that runs without this repository, checked against it on random clips.

python src/export.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt target=clip.onnx
"""

if __name__ == "__main__":  # workers may import this file: they need nothing of it
    from vivit.commands.export import main

    main()
