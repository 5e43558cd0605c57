"""Put every run of the log folder, and every record of one, beside the paper: tables, figures, and one page.

python src/report.py
"""

if __name__ == "__main__":  # workers may import this file: they need nothing of it
    from vivit.commands.report import main

    main()
