"""The studies of a deep-learning course, repeated with xpnet on the same data.

    python -m bench.studies mnist-ladder --data FOLDER
    python -m bench.studies all --quick
    python -m bench.studies all --data FOLDER --save

The tables compare the course's results with xpnet's. They are written to a temporary folder, to
``--out FOLDER``, or with ``--save`` to ``bench/results/studies``.

Each study is a module of this package with a function ``run``; ``study.py`` has common code.
"""
