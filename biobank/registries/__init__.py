"""What is whole only when every package is there: the kinds of event, the tables, the routes.

Imports everything below, decides nothing.
"""
