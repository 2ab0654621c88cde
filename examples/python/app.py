"""A small web application, served by gunicorn."""

import datetime

from flask import Flask, jsonify

app = Flask(__name__)


@app.route("/")
def home():
    return jsonify(
        message="Hello from a multi-stage Python image",
        timestamp=datetime.datetime.now(datetime.timezone.utc).isoformat(),
    )


@app.route("/health")
def health():
    return jsonify(status="healthy")


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5000)
