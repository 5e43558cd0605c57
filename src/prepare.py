"""Go through a data set once: index its files, name what cannot be used, on demand make copies that are fast to read.

python src/prepare.py data=kinetics400 data.root=/kinetics copies=256
"""

if __name__ == "__main__":  # workers may import this file: they need nothing of it
    from vivit.commands.prepare import main

    main()
