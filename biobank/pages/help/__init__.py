"""The pages of help: a page for each job, from the files of the manual."""
