"""Put every run of the log folder, and every record of one, beside the paper: tables, figures, and one page.

python src/report.py
"""

from vivit.commands.report import main

if __name__ == "__main__":
    main()
