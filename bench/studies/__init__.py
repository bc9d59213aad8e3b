"""The studies of a deep-learning course, repeated on its data: its tables beside ours.

    python -m bench.studies mnist-ladder --data FOLDER
    python -m bench.studies all --quick
    python -m bench.studies all --data FOLDER --save

Results go to a temporary folder, to ``--out FOLDER``, or, with ``--save``, to the record in
``bench/results/studies``.

Each is a module of this package with a function ``run``; ``study.py`` has what they share.
"""
