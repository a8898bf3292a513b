"""E-mail to those who chose it: written down with what it tells, sent by the worker. It names nobody and nothing."""
