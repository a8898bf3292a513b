"""The service as a process: health, the startup gate, the supervisor, the worker, the check after a restore.

Not here: routes of the API or pages, and no rule of any feature.
"""
