"""The page, as a Hugging Face Space or any other host of Python apps starts it: `python app.py`."""

from charcnn.app.serve import serve

if __name__ == "__main__":
    serve()
