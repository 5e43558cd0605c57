"""Name what happens in videos, by a checkpoint alone; show when, and where the network looked.

python src/predict.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt video=clip.mp4
python src/predict.py ckpt_path=... video=long.mp4 every=0.5 explain=true
"""

if __name__ == "__main__":  # workers may import this file: they need nothing of it
    from vivit.commands.predict import main

    main()
