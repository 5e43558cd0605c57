"""Convert weights between the authors' format, Hugging Face's and our own, and check the result on random input.

python src/convert.py source=vivit-b-16x2-kinetics400 target=vivit.ckpt
"""

from vivit.commands.convert import main

if __name__ == "__main__":
    main()
