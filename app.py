"""The page, as a Hugging Face Space or any other host of Python apps starts it: `python app.py`."""

import sys

from charcnn.app.serve import serve

if __name__ == "__main__":
    try:
        serve()
    except ValueError as e:  # settings, store, port, model or brands: the message says what to change
        sys.exit(f"charcnn: {e}")
