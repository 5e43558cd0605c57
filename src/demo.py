"""A page in the browser: drop a video, see its classes and where the network looked.

python src/demo.py ckpt_path=logs/train/runs/.../checkpoints/best.ckpt
"""

if __name__ == "__main__":  # workers may import this file: they need nothing of it
    from vivit.commands.demo import main

    main()
