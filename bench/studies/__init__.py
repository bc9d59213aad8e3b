"""Studies of a deep-learning course, done again: its tables beside ours, on its data.

    python -m bench.studies mnist-ladder --data FOLDER
    python -m bench.studies all --quick

Each is a module of this package with a function ``run``; ``study.py`` has what they share.
"""
