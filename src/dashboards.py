"""Write a Weights & Biases report of each sweep into the run folder, or save it with the service.

python src/dashboards.py
python src/dashboards.py push=true entity=NAME project=vivit
"""

from vivit.commands.dashboards import main

if __name__ == "__main__":
    main()
