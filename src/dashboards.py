"""Write a Weights & Biases report of each sweep into the run folder, or save it with the service.

python src/dashboards.py
python src/dashboards.py push=true entity=NAME project=vivit
"""

if __name__ == "__main__":  # workers may import this file: they need nothing of it
    from vivit.commands.dashboards import main

    main()
