"""Convert weights between the authors' format, Hugging Face's and our own, and check the result on random input.

python src/convert.py source=vivit-b-16x2-kinetics400 target=vivit.ckpt
"""

if __name__ == "__main__":  # workers may import this file: they need nothing of it
    from vivit.commands.convert import main

    main()
