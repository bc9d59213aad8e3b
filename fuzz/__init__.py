"""Damaged and hostile files, thousands of them, given to everything that reads files.

``python -m fuzz --seconds 60 --seed 0`` damages files of each kind and reads them in a child
process. A file may be read, or refused with the exception that the reader documents. Everything
else is a finding:

- another exception, or a message that does not name the file
- a result that is not what the reader promises, such as a network that cannot predict
- more than a second of the processor's time, or more memory than 20 times the file and 50 MB
- an import of a module that the file names, code run, a process started, a file written elsewhere
- a crash of the process, or no answer for 20 seconds

A finding's file is kept, and ``python -m fuzz --repeat FILE`` reads it once more. The same seed
makes the same files, if the machine is fast enough to come that far. The package is not shipped.
"""
