"""One request is one act: who, when, with which key, in one transaction, and what is kept when the answer is no."""
